"""Strategies that are somebody's own: which code a bot runs, and what was found out about it.

Their code never runs where the plan is made. In a cluster a job looks at it, in a pod like the bot's; until it has
answered, a bot that trades goes on with the code that it has.
"""

import keyword
import sys
from collections.abc import Mapping
from typing import Final

from governor.plan.draft import AskedByJob, Draft
from governor.references import code_reference, digest_of, listed
from governor.workload import Code, Question
from tradefleet.domain.bots import BotConfig
from tradefleet.domain.errors import FleetError
from tradefleet.domain.ids import BotUid
from tradefleet.resources.common import ResourceKey
from tradefleet.resources.trading_bot import StrategyReference, TradingBot

OUR_MODULES: Final = frozenset({"governor", "tradefleet", "workloads"})
SUFFIX: Final = ".py"
CHECKING: Final = "CheckingStrategy"  # a verdict that ends by itself, within a minute


class NotRunnable(FleetError):
    """A strategy of somebody's own cannot be run, or it is not known yet whether it can: a verdict."""

    def __init__(self, reason: str, message: str, *, stalled: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.stalled = stalled


def code_of(draft: Draft, bot: TradingBot) -> Code:
    """Return the code that a bot should run. Raises NotRunnable."""
    strategy = bot.spec.strategy
    if strategy.is_built_in or draft.observed.references is None:
        return Code()
    template = bot.spec.pod_template
    image = template.image if template is not None else None
    return find_code(draft, bot.key, strategy, image=image or "")


def running_code(draft: Draft, bot: TradingBot, config: BotConfig) -> Code:
    """Return the code that a bot runs that was told to be `config`, with its files as long as they are at hand."""
    image_digest, _, files_digest = config.code.partition("/")
    source = bot.spec.strategy.code_from
    found = None
    if source is not None and draft.observed.references is not None:
        found = draft.observed.references.get(code_reference(bot.key.namespace, source))
    files = found.files if found is not None and found.digest == files_digest else None
    return Code(image_digest=image_digest, files_digest=files_digest, files=files)


def find_code(draft: Draft, key: ResourceKey, strategy: StrategyReference, *, image: str) -> Code:
    """Return the code of somebody's own strategy, as far as a ConfigMap holds it. Raises NotRunnable."""
    image_digest = digest_of(image) if image else ""
    if strategy.code_from is None:
        return Code(image_digest=image_digest)
    reference = code_reference(key.namespace, strategy.code_from)
    found = (draft.observed.references or {}).get(reference)
    if found is None:
        message = f"waits for {reference}, its strategy.codeFrom: apply it"
        raise NotRunnable("CodeNotFound", message, stalled=False)
    problem = _problem(found.files, found.binary, strategy, has_image=bool(image))
    if problem:
        raise NotRunnable("CodeInvalid", f"{reference}, its strategy.codeFrom, {problem}", stalled=True)
    return Code(image_digest=image_digest, files_digest=found.digest, files=found.files)


def warm_up_of(draft: Draft, bot: TradingBot, code: Code) -> int:
    """Return how many bars a bot's strategy wants; asks for a job where that must find it out. Raises FleetError."""
    strategy = bot.spec.strategy
    try:
        return draft.warm_up(strategy.name, strategy.params)
    except AskedByJob:
        pass
    told = draft.observed.configs.get(BotUid(bot.metadata.uid or ""))
    if told is not None and _is_same_strategy(told, strategy, code):
        return told.warmup_bars
    question = Question(bot=bot.key, strategy=strategy.name, params=dict(strategy.params), code=code)
    # One job is enough for all bots of a set that ask the same.
    asked = draft.questions.setdefault((bot.key.namespace, question.digest), question)
    answer = draft.observed.answers.get(asked.bot)
    if answer is None or answer.question != question.digest:
        raise NotRunnable(CHECKING, f"its strategy {strategy.name} is being looked at", stalled=False)
    if answer.warmup_bars is not None:
        return answer.warmup_bars
    raise NotRunnable("StrategyRefused", answer.error, stalled=True)


def _is_same_strategy(told: BotConfig, strategy: StrategyReference, code: Code) -> bool:
    asked = (told.strategy, told.parameters, told.code)
    return asked == (strategy.name, dict(strategy.params), code.identity)


def _problem(files: Mapping[str, str], binary: tuple[str, ...], strategy: StrategyReference, *, has_image: bool) -> str:
    """Return what is wrong with the modules of a ConfigMap; empty when nothing is."""
    for key in binary:
        if key.endswith(SUFFIX):
            return f"holds {key} as binary data: save it as UTF-8 text"
    for key in files:
        module = key.removesuffix(SUFFIX)
        if not key.endswith(SUFFIX):
            continue
        if not module.isidentifier() or keyword.iskeyword(module):
            return f"holds {key}, which no module can be called: name it like trend.py"
        if module in sys.stdlib_module_names or module in OUR_MODULES:
            return f"holds {key}, which would hide the module {module} of Python or of tradefleet: rename it"
    module = strategy.name.partition(":")[0]
    if f"{module}{SUFFIX}" in files or has_image:
        return ""
    if "." in module:
        return f"cannot hold the package of {strategy.name}: name a module of one word, or build an image"
    return f"has no {module}{SUFFIX} for {strategy.name}: it has {listed(files)}: add it, or mend strategy.name"
