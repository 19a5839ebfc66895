# SPDX-License-Identifier: Apache-2.0
"""Is there one order of events in which every reply of a recorded history is right?

The search of Wing and Gong in the form of Lowe's just-in-time linearization, as porcupine does it: the history is read in
the order of time, and with it goes the set of all situations that are possible by now. A situation is the states of the
instances and which of the calls under way have happened already. When a call returns, those situations stay in which it has
happened, or can happen now, after others if need be; when none is left, nobody could have been told what was told.

What an instance may do, as documented:

    call                       guard       then          refused when
    StartInstance              Stopped     Starting      it is anything else
    StopInstance               Running     Stopping      it is anything else
    RebootInstance             Running     Starting      it is anything else
    by itself, at any time:    Starting → Running, Stopping → Stopped
    after the guest was told to end (knob): Running → Stopped, Starting → Stopped, once, and only in this life of the guest

Instances are independent, so that a history is checked instance by instance. A group of instances can be checked together
as well: then a batch is one event for all of them, and so is what one Describe shows.

Calls without a reply may have happened or not, but not after `ended`: the caller says when nobody was left to do them.
"""

import bisect
import dataclasses

GUARDS = {"Start": ("Stopped", "Starting"), "Stop": ("Running", "Stopping"), "Reboot": ("Running", "Starting")}
NEW_LIFE = ("Start", "Reboot")

# What the caller knows of a call.
ACCEPTED, REFUSED, UNKNOWN = "accepted", "refused", "unknown"


@dataclasses.dataclass(eq=False)
class Event:
    """One call. `parts`: instance → for Show the state that was shown, for orders ACCEPTED or REFUSED (each for itself).
    `outcome` is the call's: REFUSED means all or nothing was refused, for the sake of at least one of them."""

    kind: str  # Show, Start, Stop, Reboot, End
    began: int
    ended: int
    parts: dict
    outcome: str = ACCEPTED
    note: str = ""

    def __str__(self):
        told = ", ".join(f"{i}={told}" for i, told in self.parts.items()) if self.outcome == ACCEPTED else self.outcome
        return f"[{self.began}, {self.ended}] {self.kind} {told} {self.note}"


@dataclasses.dataclass(frozen=True)
class One:
    """The state of an instance. `ending`: its guest was told to end, and the row doesn't show it yet."""

    status: str
    ending: bool = False


def own_moves(one):
    """What it may do next by itself."""
    if one.status == "Starting":
        yield One("Running", one.ending)
    if one.status == "Stopping":
        yield One("Stopped")
    if one.ending and one.status in ("Running", "Starting"):
        yield One("Stopped")


def ordered(kind, one):
    """After an accepted order; None: it could not have been accepted."""
    guard, then = GUARDS[kind]
    if one.status != guard:
        return None
    return One(then, one.ending and kind not in NEW_LIFE)


def told(kind, one, what):
    """After a call that was told `what`; None: it could not have been told that."""
    if kind == "Show":
        return one if one.status == what else None
    if kind == "End":
        return One(one.status, one.status != "Stopped")
    after = ordered(kind, one)
    if what == ACCEPTED:
        return after
    return one if after is None else None


class Group:
    """The model: a tuple of states, one for each instance."""

    def __init__(self, ids):
        self.ids = list(ids)
        self.known = {}

    def own(self, state):
        for i, one in enumerate(state):
            for after in own_moves(one):
                yield state[:i] + (after,) + state[i + 1:]

    def apply(self, event, state):
        """The state after the event; None: not possible here. Remembered: states are few and come again and again."""
        known = self.known.setdefault(id(event), {})
        if state not in known:
            known[state] = self._apply(event, state)
        return known[state]

    def _apply(self, event, state):
        if event.outcome == UNKNOWN:
            return self._happened(event, state)
        if event.outcome == REFUSED:
            here = [state[self.ids.index(i)] for i in event.parts]
            return state if any(ordered(event.kind, one) is None for one in here) else None
        after = list(state)
        for i, what in event.parts.items():
            at = self.ids.index(i)
            after[at] = told(event.kind, state[at], what)
            if after[at] is None:
                return None
        return tuple(after)

    def _happened(self, event, state):
        """An order whose reply nobody got: it did what it could, or, when all or nothing was asked for, nothing."""
        after = list(state)
        for i in event.parts:
            at = self.ids.index(i)
            moved = ordered(event.kind, state[at]) if event.kind in GUARDS else told(event.kind, state[at], ACCEPTED)
            if moved is None and event.note == "AllTogether":
                return state
            after[at] = moved or state[at]
        return tuple(after)

    def forget(self, event):
        self.known.pop(id(event), None)


def is_pure(event):
    """It can't change anything: then it may as well happen as soon as it is possible, and no situation is lost."""
    if event.outcome == UNKNOWN:
        return False
    return event.kind == "Show" or event.outcome == REFUSED or \
        (event.kind in GUARDS and all(what == REFUSED for what in event.parts.values()))


def likeness(event):
    return event.kind, event.outcome, event.note, tuple(sorted(event.parts.items()))


def project(event, ids):
    """What the event tells of these instances alone; None: nothing."""
    parts = {i: what for i, what in event.parts.items() if i in ids}
    if not parts or (event.kind == "Show" and event.outcome == UNKNOWN):
        return None
    if len(parts) == len(event.parts):
        return event
    if event.outcome == REFUSED:
        return None  # one of the others may have been the reason
    if event.outcome == UNKNOWN and event.note == "AllTogether":
        return dataclasses.replace(event, parts=parts, note="")  # may have happened; the others may have prevented it
    return dataclasses.replace(event, parts=parts)


class Search:
    def __init__(self, ids, start):
        self.model = Group(ids)
        self.situations = {(tuple(One(s) for s in start), 0)}
        self.pending = {}  # bit → event
        self.pure = []  # (bit, event) of the pending ones
        self.orders = {}  # what changes states: alike ones together, as (ended, bit, event), in this order
        self.free = []
        self.bits = {}

    def begin(self, event):
        bit = self.free.pop() if self.free else 1 << len(self.pending)
        self.pending[bit] = event
        self.bits[id(event)] = bit
        if is_pure(event):
            self.pure.append((bit, event))
        else:
            bisect.insort(self.orders.setdefault(likeness(event), []), (event.ended, bit, event))

    def settle(self, state, done):
        """All that may happen without a change of the state has happened."""
        for bit, event in self.pure:
            if not done & bit and self.model.apply(event, state) is not None:
                done |= bit
        return state, done

    def choices(self, done):
        """Orders that may happen next. Of those that are alike the one whose time is over first: with it and another
        exchanged, any other way would be as good, and more is left for later."""
        for alike in self.orders.values():
            for _, bit, event in alike:
                if not done & bit:
                    yield bit, event
                    break

    def reach(self, bit, situations):
        """All situations in which that call has just happened, from those in which it has not: others first, if they must."""
        seen, todo, reached = set(situations), list(situations), set()
        while todo:
            state, done = todo.pop()
            after = [(s, done) for s in self.model.own(state)]
            for other, event in self.choices(done):
                moved = self.model.apply(event, state)
                if moved is not None and (moved != state or event.outcome == ACCEPTED):
                    after.append((moved, done | other))
            for situation in after:
                situation = self.settle(*situation)
                if situation[1] & bit:
                    reached.add(situation)
                elif situation not in seen:
                    seen.add(situation)
                    todo.append(situation)
        self.tried = seen
        return reached

    def end(self, event):
        """Its reply is here, or its time is over. False: there is no way that it could have had this reply."""
        bit = self.bits.pop(id(event))
        settled = {self.settle(*situation) for situation in self.situations}
        happened = {situation for situation in settled if situation[1] & bit}
        not_yet = settled - happened
        happened |= self.reach(bit, not_yet)
        left = {(state, done & ~bit) for state, done in (happened | not_yet if event.outcome == UNKNOWN else happened)}
        del self.pending[bit]
        if is_pure(event):
            self.pure.remove((bit, event))
        else:
            self.orders[likeness(event)].remove((event.ended, bit, event))
        self.free.append(bit)
        self.model.forget(event)
        self.situations = self.without_worse(left)
        return bool(left)

    def without_worse(self, situations):
        """Who has made less use of calls that need not have happened can still do all that the others can."""
        optional = sum(bit for bit, event in self.pending.items() if event.outcome == UNKNOWN)
        best = {}
        for state, done in situations:
            best.setdefault((state, done & ~optional), []).append(done & optional)
        return {(state, must | used) for (state, must), uses in best.items() for used in uses
                if not any(other != used and other & ~used == 0 for other in uses)}

    def explain(self, event, timeline, at):
        states = sorted({" ".join(o.status + ("!" if o.ending else "") for o in s) for s, _ in self.tried})
        recent = {id(e): e for _, _, e in timeline[max(0, at - 40):at + 1]}.values()
        lines = [f"no order of events fits: {event}", f"possible by then: {', '.join(states)}",
                 f"under way: {len(self.pending)}; what came before:"]
        return "\n".join(lines + [f"  {e}" for e in sorted(recent, key=lambda e: e.began)])


def violation(history, ids, start):
    """None when the history of these instances fits one order; else a text that says where it doesn't. `start`: their states
    before it."""
    chosen = [e for e in (project(event, set(ids)) for event in history) if e is not None]
    timeline = [(e.began, 0, e) for e in chosen] + [(e.ended, 1, e) for e in chosen]
    timeline.sort(key=lambda row: row[:2])  # at the same instant: begun before ended, which forbids less
    search = Search(ids, start)
    for at, (_, is_end, event) in enumerate(timeline):
        if not is_end:
            search.begin(event)
        elif not search.end(event):
            return search.explain(event, timeline, at)
    return None
