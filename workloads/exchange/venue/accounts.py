"""Accounts of the venue: funds, numbered requests and reports, orders; and where all money of the venue is."""

from collections import OrderedDict, deque
from itertools import islice

from tradefleet.domain.errors import StreamGap
from tradefleet.domain.ids import AccountId, ClientOrderId
from tradefleet.domain.venue import VenueReport
from workloads.exchange.venue.orders import FinishedOrder, OpenOrder

FINISHED_ORDERS_MAX = 4_096  # per account: how far back a query and the check for repeated ids reach
REPORTS_MAX = 100_000  # per account: reports that nobody confirmed; beyond it the oldest is gone


class Account:
    """One account. Amounts are atoms per asset; `deposits` keeps asset and atoms of every reference, without bound.

    Free and locked are never below zero: whoever moves money asks first.
    """

    __slots__ = ("deposits", "finished", "free", "id", "locked", "orders", "report_no", "reports", "request_no")

    def __init__(self, account_id: AccountId) -> None:
        self.id = account_id
        self.free: dict[str, int] = {}
        self.locked: dict[str, int] = {}
        self.deposits: dict[str, tuple[str, int]] = {}
        self.request_no = 0  # the last one applied
        self.report_no = 0  # the last one given out
        self.reports: deque[VenueReport] = deque(maxlen=REPORTS_MAX)
        self.orders: dict[ClientOrderId, OpenOrder] = {}
        self.finished: OrderedDict[ClientOrderId, FinishedOrder] = OrderedDict()

    def credit(self, asset: str, atoms: int) -> None:
        """Add `atoms`, which may be negative, to what is free."""
        self.free[asset] = self.free.get(asset, 0) + atoms

    def lock(self, asset: str, atoms: int) -> None:
        """Move `atoms` from free to locked; a negative number moves them back."""
        if atoms:
            self.free[asset] = self.free.get(asset, 0) - atoms
            self.locked[asset] = self.locked.get(asset, 0) + atoms

    def remember(self, finished: FinishedOrder) -> None:
        """Keep a finished order for queries, and forget the oldest when there are too many."""
        self.finished[finished.order.client_order_id] = finished
        if len(self.finished) > FINISHED_ORDERS_MAX:
            self.finished.popitem(last=False)

    def reports_since(self, since_no: int) -> list[VenueReport]:
        """Return the reports after number `since_no`. Raises StreamGap when some of them are kept no more."""
        first_no = self.report_no - len(self.reports) + 1
        if since_no + 1 < first_no and since_no < self.report_no:
            raise StreamGap(
                f"account {self.id}: reports are kept from number {first_no}, those after {since_no} were asked for"
            )
        return list(islice(self.reports, max(0, since_no + 1 - first_no), None))

    def trim_reports(self, up_to_no: int) -> None:
        """Forget the reports up to and including number `up_to_no`."""
        while self.reports and self.reports[0].no <= up_to_no:
            self.reports.popleft()


class Accounts:
    """All accounts, and the books that mirror them: per asset, accounts + fees + market = deposited.

    `market` is the other side of every trade. In a replayed market it may be negative: history has no purse. In the
    venue's own book the two sides of a trade cancel, so it stays zero.
    """

    __slots__ = ("by_id", "deposited", "fees", "market")

    def __init__(self) -> None:
        self.by_id: dict[AccountId, Account] = {}
        self.deposited: dict[str, int] = {}
        self.fees: dict[str, int] = {}
        self.market: dict[str, int] = {}

    def open(self, account_id: AccountId) -> Account:
        """Return the account, a new one at the first call."""
        account = self.by_id.get(account_id)
        if account is None:
            account = self.by_id[account_id] = Account(account_id)
        return account

    def deposit(self, account: Account, reference: str, asset: str, atoms: int) -> None:
        """Credit paper money under a reference that the account has not seen."""
        account.deposits[reference] = (asset, atoms)
        account.credit(asset, atoms)
        self.deposited[asset] = self.deposited.get(asset, 0) + atoms

    def imbalance(self) -> dict[str, int]:
        """Return the atoms per asset by which money was made or lost: always empty."""
        sums: dict[str, int] = {asset: -atoms for asset, atoms in self.deposited.items()}
        books = [self.fees, self.market]
        for account in self.by_id.values():
            books += [account.free, account.locked]
        for book in books:
            for asset, atoms in book.items():
                sums[asset] = sums.get(asset, 0) + atoms
        return {asset: atoms for asset, atoms in sums.items() if atoms}
