"""The Gateway machine: the only way from a bot to a venue.

Inputs are commands, halts, venue reports, bars and bots' requests; what they cause is collected in `GatewayEffects`,
which the edge takes, commits in one transaction and only then sends. The same inputs in the same order give the same
effects, and a gateway restored from its snapshots equals the one that wrote them (rule 12).

This file takes the inputs; `requests`, `reports`, `exits` and `reconciliation` know what to do with them, `desk` does
it to one order, `state` is what there is to know.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotCommand, BotConfig, Closure, DeletionPolicy, RunState
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.executions import Adoption
from tradefleet.domain.ids import BotKey, BotUid, ClientOrderId, Symbol
from tradefleet.domain.orders import BotRequest, OrderStatus, Reason, Side
from tradefleet.domain.statistics import BotStatistics
from tradefleet.domain.venue import AmendOrder, DepositFunds, SubmitOrder, VenueReport, VenueRequest
from workloads.exchange.gateway.absence import Absences
from workloads.exchange.gateway.account import BotAccount
from workloads.exchange.gateway.amendments import raises_risk
from workloads.exchange.gateway.bookkeeping import deposit
from workloads.exchange.gateway.config import GatewayConfig
from workloads.exchange.gateway.desk import OrderDesk
from workloads.exchange.gateway.effects import GatewayEffects
from workloads.exchange.gateway.exits import Exits
from workloads.exchange.gateway.order import AMEND, SUBMIT, ManagedOrder
from workloads.exchange.gateway.reconciliation import Reconciliation, VenueStatement
from workloads.exchange.gateway.reports import ReportHandling
from workloads.exchange.gateway.requests import RequestHandling
from workloads.exchange.gateway.risk import RiskGate
from workloads.exchange.gateway.state import GatewayState


class Gateway:
    """Order management of one exchange account."""

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self._reset()

    def _reset(self) -> None:
        self._state = state = GatewayState(self.config)
        self._desk = OrderDesk(state)
        self._exits = Exits(state, self._desk)
        self._reports = ReportHandling(state, self._desk, self._exits)
        self._requests = RequestHandling(state, self._desk)
        self._absences = Absences(state, self._exits)
        self._reconciliation = Reconciliation(state)

    # --- to read --------------------------------------------------------------------------------------------------

    @property
    def accounts(self) -> Mapping[BotKey, BotAccount]:
        """The bots' books, in key order."""
        return self._state.accounts

    @property
    def orders(self) -> Mapping[ClientOrderId, ManagedOrder]:
        """The open orders, oldest first."""
        return self._state.orders

    @property
    def marks(self) -> Mapping[Symbol, int]:
        """The last close of each instrument, in ticks."""
        return self._state.marks

    @property
    def now_us(self) -> int:
        """The market time of the latest input."""
        return self._state.now_us

    @property
    def halts(self) -> frozenset[str]:
        """The scopes of the halt switches that are on."""
        return self._state.halts

    @property
    def report_no(self) -> int:
        """The number of the last venue report applied."""
        return self._state.report_no

    @property
    def request_no(self) -> int:
        """The number of the last request made to the venue."""
        return self._state.request_no

    @property
    def external_orders(self) -> int:
        """How many open orders the venue has that are not ours, when it was last looked at."""
        return self._state.external_orders

    @property
    def mismatch(self) -> str:
        """How books and venue differ, so that no new risk is taken; empty while they do not."""
        return self._state.mismatch

    @property
    def is_in_doubt(self) -> bool:
        """True while another look at the venue may change what bots may do."""
        state = self._state
        in_doubt = (Closure.REPORT in account.closures for account in state.accounts.values())
        return bool(state.doubts) or state.is_vouched or bool(state.mismatch) or any(in_doubt)

    def is_halted(self, bot: BotKey) -> bool:
        """True when a switch stops this bot from raising risk."""
        return self._state.is_halted(bot)

    def exposure_atoms(self, bot: BotKey) -> int:
        """Return a bot's positions at their marks plus its open buys, in quote atoms."""
        return RiskGate(self._state).exposure_atoms(self._state.accounts[bot])

    def adoption(self, bot: BotKey) -> Adoption:
        """Return a bot's books as the first input of its next generation."""
        return self._state.adoption(bot)

    @property
    def is_waited_for(self) -> bool:
        """True when the effects hold something for a bot or for the venue."""
        return bool(self._state.effects.venue_requests or self._state.effects.executions)

    def take(self) -> GatewayEffects:
        """Return all effects since the last call."""
        state = self._state
        effects, state.effects = state.effects, GatewayEffects()
        return effects

    # --- commands and halts ---------------------------------------------------------------------------------------

    def on_command(self, command: BotCommand, market_us: int) -> None:
        """Take a bot's desired state: open, pause, stop, flatten, reopen, wind down. A repeat changes nothing.

        Raises InvalidValue, changing nothing, for a config that cannot be traded here. A bot of the same name and
        another UID waits until nothing of its predecessor is open: then the next repeat of its command opens its books.
        """
        state = self._state
        state.reach(market_us)
        account = state.accounts.get(command.config.key)
        if account is not None and account.config.uid != command.config.uid:
            if command.deleting:
                return
            self._check(command.config)  # before anything of the one that was here is given up
            if not self._is_replaceable(account):
                return
            self._give_up(account)
            account = None
        if account is None:
            if command.deleting:
                return
            account = self._open(command)
        self._obey(account, command)

    def on_refusals(self, refusals: Mapping[BotUid, str]) -> None:
        """Take which commands were refused at the last look at all of them, and why. The other bots trade on."""
        self._state.refusals = dict(refusals)

    def forget(self, wanted: Collection[BotUid]) -> None:
        """Let go of the bots that were wound down and are no longer `wanted`: their owner has seen that they ended.

        Until then the books of a deleted bot stay, since they are what tells the owner so.
        """
        state = self._state
        gone = [
            account
            for account in state.accounts.values()
            if account.deleting and account.config.uid not in wanted and self._is_over(account)
        ]
        for account in gone:
            self._give_up(account)
            del state.accounts[account.key]
        if gone:
            state.index()

    def _is_over(self, account: BotAccount) -> bool:
        """Return whether nothing is open, every answer of the venue is here, and every effect was taken."""
        is_funded = all(bot != account.key for _, bot in self._state.deposits.values())
        return account.is_settled and is_funded and account.key not in self._state.effects.accounts

    def _is_replaceable(self, account: BotAccount) -> bool:
        """Return whether a namesake may take the place of these books, and cancel what stands in its way.

        Orders that the policy kept are canceled too: they would fill into books that nobody reads any more.
        """
        if not account.deleting:
            account.deleting = True
            account.derive()
            self._state.effects.accounts.add(account.key)
        self._exits.cancel_all(account)
        return self._is_over(account)

    def _give_up(self, account: BotAccount) -> None:
        """Let go of books that nobody needs any more; the paper money of a bot stays at the venue."""
        state = self._state
        state.effects.gone.append(account.config.uid)
        if self.config.paper:
            for held in (account.wallet.free, account.wallet.locked):
                for asset, atoms in held.items():
                    if atoms:
                        state.beside[asset] = state.beside.get(asset, 0) + atoms

    def _open(self, command: BotCommand) -> BotAccount:
        state, config = self._state, command.config
        self._check(config)
        account = BotAccount(config, self.config.instruments, taker_ppm=self.config.taker_ppm)
        account.flatten_no, account.reopen_no = command.flatten_no, command.reopen_no
        state.accounts[config.key] = account
        state.index()
        for asset, atoms in sorted(config.wallet.items()):
            if not atoms:
                continue
            reference = deposit(account, state.effects, asset=asset, atoms=atoms, market_us=state.now_us)
            if self.config.paper:
                number = state.next_request_no()
                state.deposits[reference] = (number, account.key)
                state.effects.venue_requests.append(
                    DepositFunds(no=number, reference=reference, asset=asset, atoms=atoms, market_us=state.now_us)
                )
        account.keep_equity(account.mark_equity(state.marks), state.now_us)
        state.effects.accounts.add(account.key)
        return account

    def _check(self, config: BotConfig) -> None:
        listed = self.config.instruments
        for symbol in config.symbols:
            if symbol not in listed:
                known = ", ".join(sorted(listed)) or "none"
                raise InvalidValue(f"bot {config.key}: unknown instrument {symbol}; the exchange has: {known}")
        quotes = {listed[symbol].quote for symbol in config.symbols}
        if len(quotes) != 1 or set(config.wallet) - quotes:
            raise InvalidValue(
                f"bot {config.key}: instruments and wallet must share one quote asset, instruments are quoted in "
                f"{sorted(quotes)}, the wallet holds {sorted(config.wallet)}"
            )
        for asset, atoms in config.wallet.items():
            if atoms < 0:
                raise InvalidValue(f"bot {config.key}: wallet must hold at least 0 of {asset}, was {atoms} atoms")

    def _obey(self, account: BotAccount, command: BotCommand) -> None:
        state = self._state
        interval_us = account.config.interval_us
        was_selling = account.is_ending and account.config.deletion_policy is DeletionPolicy.FLATTEN
        if account.take_command(command):
            state.effects.accounts.add(account.key)
            if was_selling and account.config.deletion_policy is not DeletionPolicy.FLATTEN:
                self._exits.give_up(account)
            if account.config.interval_us != interval_us:
                state.index()
            if account.deleting or account.state is RunState.STOPPED:
                self._exits.wind_down(account)
        if command.flatten_no > account.flatten_no:
            account.flatten_no = command.flatten_no
            state.effects.accounts.add(account.key)
            self._exits.flatten(account)
        if account.unreadable_seq and command.skip_seq == account.unreadable_seq:
            self._requests.skip(account)
        if command.reopen_no > account.reopen_no:
            account.reopen_no = command.reopen_no
            state.effects.accounts.add(account.key)
            state.is_vouched = state.is_vouched or Closure.REPORT in account.closures
            self._requests.go_on(account)
            state.reopen(account, Closure)
            account.clear_drawdown(account.mark_equity(state.marks))

    def on_halts(self, scopes: Iterable[str], market_us: int) -> None:
        """Take the halt switches that are on. New ones cancel the open buys of the bots they stop."""
        state = self._state
        state.reach(market_us)
        before, state.halts = state.halts, frozenset(scopes)
        if state.halts <= before:
            return
        for order in state.halted_buys():
            self._desk.cancel(order, Reason.HALTED)

    def on_absences(self, absent: Collection[BotUid], wall_us: int, market_us: int) -> None:
        """Take which bots no process holds. One that is without for too long loses its orders, as its switch says.

        `wall_us` and the bots are of the database that keeps the leases: an input like any other (rule 18).
        """
        self._state.reach(market_us)
        self._absences.apply(absent, wall_us)

    def risk_of(self, request: VenueRequest) -> BotKey | None:
        """Return the bot whose risk a request would raise that was not sent yet; None when a halt lets it pass."""
        match request:
            case SubmitOrder() | AmendOrder():
                order = self._state.orders.get(request.client_order_id)
            case _:
                return None
        if order is None or order.terms.side is not Side.BUY:
            return None
        if isinstance(request, AmendOrder) and not raises_risk(order, request.lots, request.price_ticks):
            return None
        return order.bot

    def on_unsent(self, requests: Iterable[VenueRequest], market_us: int) -> None:
        """Take back requests that a halt stopped between commit and send: orders denied, amendments refused.

        Their numbers are voided. What follows of a denied order (its cancel, its amendment) is not sent either.
        """
        state, desk = self._state, self._desk
        state.reach(market_us)
        for request in requests:
            if not isinstance(request, SubmitOrder | AmendOrder):
                continue
            order = state.orders.get(request.client_order_id)
            if order is None:
                continue
            account = state.accounts[order.bot]
            if order.open_requests.get(SUBMIT) == request.no:
                for kind in sorted(order.open_requests, key=order.open_requests.__getitem__):
                    desk.void(order, kind)
                desk.finish(account, order, OrderStatus.DENIED, Reason.HALTED)
                self._exits.go_on(account, order.symbol, order)
            elif order.open_requests.get(AMEND) == request.no:
                desk.void(order, AMEND)
                desk.end_amendment(account, order)
                state.tell(account, order, reason=Reason.HALTED)

    # --- market, requests, reports --------------------------------------------------------------------------------

    def on_bars(self, market_us: int, bars: Sequence[Bar]) -> None:
        """Take the bars of one step, sorted by (symbol, interval): marks, protection, then every bot's statistics."""
        state = self._state
        state.reach(market_us)
        finest, instruments = self.config.finest_us, self.config.instruments
        for bar in bars:
            symbol = bar.symbol
            if bar.interval_us == finest.get(symbol):
                close_us = bar.open_us + bar.interval_us
                if close_us > state.mark_us.get(symbol, -1):  # a late bar is no news
                    state.marks[symbol] = max(1, instruments[symbol].nearest_ticks(bar.close))
                    state.mark_us[symbol] = close_us
                    self._exits.on_bar(bar)
        touched: dict[BotKey, BotAccount] = {}
        for bar in bars:
            for account in state.watchers.get((bar.symbol, bar.interval_us), ()):
                touched[account.key] = account
                if account.hold.waits_for(bar.symbol):
                    account.hold.on_bar(bar.symbol, max(1, instruments[bar.symbol].nearest_ticks(bar.open)))
                    state.effects.accounts.add(account.key)
        for account in touched.values():
            if not (account.deleting and account.is_settled):
                self._statistics(account, market_us)

    def _statistics(self, account: BotAccount, market_us: int) -> None:
        state = self._state
        equity = account.mark_equity(state.marks)
        if account.keep_equity(equity, market_us):
            state.effects.accounts.add(account.key)
        hold, peak, most = account.hold.value_atoms(state.marks), account.peak_equity_atoms, account.amount_max
        if peak > most or (hold is not None and hold > most):  # at a price that is none, as in broken data
            equity, peak = min(equity, most), min(peak, most)
            hold = None if hold is None else min(hold, most)
        state.effects.statistics.append(
            BotStatistics(
                account.key,
                market_us,
                account.quote,
                equity,
                hold,
                peak,
                account.realized_atoms,
                account.fees_atoms,
                account.order_count,
                account.fill_count,
                len(account.orders),
                account.held_lots,
            )
        )

    def on_unreadable(self, bot: BotKey, seq: int, why: str) -> None:
        """Close the stream of a bot whose request `seq` cannot be read: until a person resolves it, it takes no new
        risk and no request from that one on (rule 9)."""
        self._requests.hold_up(self._state.accounts[bot], seq, why)

    def on_requests(self, requests: Sequence[BotRequest], market_us: int, *, refuse: Reason = Reason.NONE) -> None:
        """Take bots' requests, sorted by (bot, seq). Numbers that were applied are skipped, a gap raises StreamGap.

        With `refuse`, every new order is denied for that reason (a step that needed too many rounds). After an error
        nothing has been applied.
        """
        self._state.reach(market_us)
        self._requests.apply(requests, refuse)

    def on_reports(self, reports: Iterable[VenueReport]) -> None:
        """Take the venue's reports in order. Numbers that were applied are skipped, a gap raises StreamGap.

        A report that cannot be applied closes the bot's stream and becomes a dead letter (rule 9).
        """
        self._reports.apply(reports)

    def on_doubt(self, why: str) -> None:
        """Take no new risk until books and venue were found to agree."""
        self._state.mismatch = self._state.mismatch or why

    def on_statement(self, statement: VenueStatement) -> bool:
        """Take what the venue says of the account; False when it is about another moment and changes nothing.

        A difference that stays halts new risk. When there is none, bots reopen that a report had closed.
        """
        return self._reconciliation.apply(statement)

    # --- state ----------------------------------------------------------------------------------------------------

    def account_snapshot(self, bot: BotKey) -> dict[str, Any]:
        """Return a bot's books as JSON values."""
        return self._state.accounts[bot].snapshot()

    def own_snapshot(self) -> dict[str, Any]:
        """Return what belongs to no bot as JSON values."""
        return self._state.snapshot()

    def restore(
        self, own: Mapping[str, Any], accounts: Iterable[dict[str, Any]], orders: Iterable[dict[str, Any]]
    ) -> None:
        """Become the gateway that wrote these snapshots; `orders` are the open ones, in any order."""
        self._reset()
        self._state.restore(own, accounts, orders)
