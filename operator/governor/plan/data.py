"""Datasets whose data somebody else keeps, in a cluster: files on a volume, rows of a database.

A pod reads a Dataset as a process on one machine does, once its volume is mounted and the URL is in its environment.
So the Dataset that it is told of names folders and variables of the pod.
"""

import re
from pathlib import PurePosixPath
from typing import Final

from governor.plan.draft import Draft
from governor.plan.strategies import NotRunnable
from governor.references import Reference, Referenced, ReferenceKind, digest_of, listed
from governor.workload import Mount, Needs, SecretVariable
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.feed import Feed
from tradefleet.resources.market_data import DatabaseUrlSource, SecretKey

DATA_FOLDER: Final = "/var/lib/tradefleet/data"
HASH_LENGTH: Final = 6


def needs_of(draft: Draft, dataset: Dataset) -> Needs:
    """Return what pods need to read a Dataset, nothing on one machine. Raises NotRunnable."""
    if draft.observed.references is None:
        return Needs()
    needs = _volume_needs(draft, dataset)
    for index, each in enumerate(dataset.spec.sql):
        needs += _secret_needs(draft, dataset, index, each.url_from)
    return needs


def plan_needs(draft: Draft) -> None:
    """Note what Datasets need, or why they wait."""
    if draft.observed.references is None:
        return
    draft.needs = {}
    for dataset in draft.all(Dataset):
        try:
            draft.needs[dataset.key] = needs_of(draft, dataset)
        except NotRunnable as error:
            draft.say(dataset, error.reason, str(error), stalled=error.stalled)


def as_mounted(each: Dataset) -> Dataset:
    """Return a Dataset as a pod reads it, with the paths and variables that it has there."""
    folder = PurePosixPath(folder_of(each))
    files = tuple(one.model_copy(update={"path": str(folder / one.path)}) for one in each.spec.files)
    sql = tuple(
        one.model_copy(update={"url_from": DatabaseUrlSource(env=_variable(one.url_from.secret_key_ref))})
        if one.url_from.secret_key_ref is not None
        else one
        for one in each.spec.sql
    )
    return each.model_copy(update={"spec": each.spec.model_copy(update={"files": files, "sql": sql, "volume": None})})


def folder_of(dataset: Dataset) -> str:
    """Return where a pod has the volume of a Dataset."""
    return f"{DATA_FOLDER}/{dataset.metadata.name}"


def refuse_own_files(draft: Draft, feed: Feed) -> None:
    """Raise NotRunnable for a Feed that names files, where there are pods: they have no volume of it."""
    if draft.observed.references is not None and feed.spec.replay is not None and feed.spec.replay.files:
        message = (
            "a cluster reads files through a Dataset, which says on which volume they are: make one with these files "
            "and spec.volume, and name it in replay.datasetRefs in place of replay.files"
        )
        raise NotRunnable("FilesNotMounted", message, stalled=True)


def _volume_needs(draft: Draft, dataset: Dataset) -> Needs:
    volume = dataset.spec.volume
    if not dataset.spec.files:
        return Needs()
    if volume is None:
        message = (
            "its files are on no volume of the cluster: name a PersistentVolumeClaim or a ConfigMap in spec.volume"
        )
        raise NotRunnable("VolumeMissing", message, stalled=True)
    for index, each in enumerate(dataset.spec.files):
        path = PurePosixPath(each.path)
        if path.is_absolute() or ".." in path.parts:
            message = f"spec.files[{index}].path {each.path} leads out of its volume: write it relative to the volume"
            raise NotRunnable("PathInvalid", message, stalled=True)
    if volume.config_map_ref is None:
        return Needs(mounts=(Mount(folder=folder_of(dataset), claim=volume.claim_name or ""),))
    reference = Reference(ReferenceKind.CONFIG_MAP, dataset.key.namespace, volume.config_map_ref.name)
    found = _found(draft, reference, "spec.volume.configMapRef")
    keys = {*found.files, *found.binary}
    for index, each in enumerate(dataset.spec.files):
        if each.path not in keys:
            message = f"waits for {reference} to hold {each.path}, its spec.files[{index}]: it has {listed(keys)}"
            raise NotRunnable("FileNotFound", message, stalled=False)
    mount = Mount(folder=folder_of(dataset), config_map=volume.config_map_ref.name)
    return Needs(mounts=(mount,), digest=found.digest)


def _secret_needs(draft: Draft, dataset: Dataset, index: int, source: DatabaseUrlSource) -> Needs:
    place = f"spec.sql[{index}].urlFrom"
    named = source.secret_key_ref
    if named is None:
        message = f"{place}.env is for a local fleet: name an entry of a Secret with secretKeyRef in its place"
        raise NotRunnable("SecretMissing", message, stalled=True)
    reference = Reference(ReferenceKind.SECRET, dataset.key.namespace, named.name)
    found = _found(draft, reference, f"{place}.secretKeyRef")
    entry = found.entries.get(named.key)
    if entry is None:
        message = f"waits for {reference} to have the key {named.key}, its {place}.secretKeyRef"
        message += f": it has {listed(found.entries)}: add it"
        raise NotRunnable("SecretKeyNotFound", message, stalled=False)
    if not entry.hosts:
        message = f"{reference} holds no URL of a database in {named.key}, its {place}.secretKeyRef: write it like "
        message += "postgresql://reader:password@host:5432/prices"
        raise NotRunnable("SecretInvalid", message, stalled=False)
    variable = SecretVariable(name=_variable(named), secret=named.name, key=named.key)
    return Needs(variables=(variable,), hosts=entry.hosts, digest=entry.digest)


def _found(draft: Draft, reference: Reference, place: str) -> Referenced:
    found = (draft.observed.references or {}).get(reference)
    if found is None:
        reason = f"{reference.kind}NotFound"
        raise NotRunnable(reason, f"waits for {reference}, its {place}: apply it", stalled=False)
    return found


def _variable(named: SecretKey) -> str:
    """Return the name of the variable with an entry of a Secret: readable, since errors name it, and unique."""
    words = re.sub("[^A-Z0-9]+", "_", f"{named.name}_{named.key}".upper())
    return f"SQL_{words}_{digest_of([named.name, named.key])[:HASH_LENGTH].upper()}"
