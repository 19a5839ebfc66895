# SPDX-License-Identifier: Apache-2.0
"""The judge is judged first: it takes what may have been, and refuses what can't."""

import random
import time
import unittest

from linear import ACCEPTED, GUARDS, REFUSED, UNKNOWN, Event, violation


def history(*rows):
    """(kind, told, began, ended) of instance "a"."""
    return [Event(kind, began, ended, {"a": what}, UNKNOWN if what == UNKNOWN else ACCEPTED) for kind, what, began, ended in rows]


class Judged(unittest.TestCase):
    def fits(self, *rows, start="Running"):
        self.assertIsNone(violation(history(*rows), "a", [start]))

    def is_refused(self, *rows, start="Running"):
        self.assertIsNotNone(violation(history(*rows), "a", [start]), rows)


class OneAfterTheOther(Judged):
    def test_a_life_in_order(self):
        self.fits(("Stop", ACCEPTED, 0, 1), ("Show", "Stopping", 2, 3), ("Stop", REFUSED, 4, 5), ("Show", "Stopped", 6, 7),
                  ("Start", ACCEPTED, 8, 9), ("Start", REFUSED, 10, 11), ("Reboot", REFUSED, 12, 13), ("Show", "Running", 14, 15),
                  ("Reboot", ACCEPTED, 16, 17), ("Show", "Starting", 18, 19), ("Show", "Running", 20, 21))

    def test_own_moves_need_nobody_to_see_them(self):
        self.fits(("Stop", ACCEPTED, 0, 1), ("Start", ACCEPTED, 2, 3), ("Stop", ACCEPTED, 4, 5), ("Show", "Stopped", 6, 7))

    def test_stale_read(self):
        self.is_refused(("Stop", ACCEPTED, 0, 1), ("Show", "Running", 2, 3))
        self.is_refused(("Show", "Stopped", 0, 1))

    def test_reads_that_go_back(self):
        self.is_refused(("Stop", ACCEPTED, 0, 1), ("Show", "Stopped", 2, 3), ("Show", "Stopping", 4, 5))
        self.is_refused(("Reboot", ACCEPTED, 0, 1), ("Show", "Running", 2, 3), ("Show", "Starting", 4, 5))

    def test_a_stopped_one_that_runs_without_a_start(self):
        self.is_refused(("Stop", ACCEPTED, 0, 1), ("Show", "Stopped", 2, 3), ("Show", "Running", 4, 5))

    def test_double_accept(self):
        self.is_refused(("Stop", ACCEPTED, 0, 1), ("Stop", ACCEPTED, 2, 3))
        self.is_refused(("Start", ACCEPTED, 0, 1), ("Start", ACCEPTED, 2, 3), start="Stopped")

    def test_lost_accept(self):
        """A Stop was accepted, and nobody ever sees anything of it."""
        self.is_refused(("Stop", ACCEPTED, 0, 1), ("Reboot", ACCEPTED, 2, 3))
        self.is_refused(("Stop", ACCEPTED, 0, 1), ("Show", "Running", 2, 3), ("Stop", ACCEPTED, 4, 5))

    def test_refused_without_a_reason(self):
        self.is_refused(("Stop", REFUSED, 0, 1))
        self.is_refused(("Start", REFUSED, 0, 1), start="Stopped")
        self.is_refused(("Reboot", REFUSED, 0, 1))

    def test_a_refused_call_changes_nothing(self):
        self.is_refused(("Start", REFUSED, 0, 1), ("Show", "Starting", 2, 3))

    def test_stopped_by_itself(self):
        self.is_refused(("Show", "Stopped", 2, 3))
        self.fits(("End", ACCEPTED, 0, 1), ("Show", "Running", 2, 3), ("Show", "Stopped", 4, 5))
        self.fits(("Start", ACCEPTED, 0, 1), ("End", ACCEPTED, 2, 3), ("Show", "Stopped", 4, 5), start="Stopped")

    def test_an_end_is_of_one_life(self):
        """What was told of an earlier start doesn't touch a later one."""
        self.is_refused(("End", ACCEPTED, 0, 1), ("Reboot", ACCEPTED, 2, 3), ("Show", "Running", 4, 5), ("Show", "Stopped", 6, 7))
        self.is_refused(("End", ACCEPTED, 0, 1), ("Show", "Stopped", 2, 3), ("Start", ACCEPTED, 4, 5), ("Show", "Stopped", 6, 7))


class AtTheSameTime(Judged):
    def test_either_order(self):
        for seen in ("Running", "Stopping", "Stopped"):
            self.fits(("Stop", ACCEPTED, 0, 10), ("Show", seen, 1, 9))

    def test_one_of_two_is_refused(self):
        self.fits(("Stop", ACCEPTED, 0, 10), ("Stop", REFUSED, 0, 10), ("Reboot", REFUSED, 5, 9))
        self.is_refused(("Stop", ACCEPTED, 0, 10), ("Stop", ACCEPTED, 0, 10))
        self.is_refused(("Stop", REFUSED, 0, 10), ("Reboot", REFUSED, 0, 10))

    def test_two_accepted_with_a_start_between_them(self):
        self.fits(("Stop", ACCEPTED, 0, 10), ("Stop", ACCEPTED, 0, 10), ("Start", ACCEPTED, 0, 10))
        self.is_refused(("Stop", ACCEPTED, 0, 10), ("Stop", ACCEPTED, 0, 10), ("Start", ACCEPTED, 11, 12))

    def test_all_see_the_same_order(self):
        """One has seen Stopping, so that it is over with Running for who asks later, although the Stop has not returned."""
        self.fits(("Stop", ACCEPTED, 0, 100), ("Show", "Running", 10, 40), ("Show", "Stopping", 20, 30))
        self.is_refused(("Stop", ACCEPTED, 0, 100), ("Show", "Stopping", 20, 30), ("Show", "Running", 40, 50))

    def test_who_asks_early_is_not_told_what_is_ordered_later(self):
        self.is_refused(("Show", "Stopping", 0, 1), ("Stop", ACCEPTED, 2, 3))


class WithoutReply(Judged):
    def test_may_have_happened_or_not(self):
        for seen in ("Running", "Stopping", "Stopped"):
            self.fits(("Stop", UNKNOWN, 0, 10), ("Show", seen, 11, 12))

    def test_happens_once(self):
        self.is_refused(("Stop", UNKNOWN, 0, 10), ("Show", "Stopped", 2, 3), ("Start", ACCEPTED, 4, 5), ("Show", "Running", 6, 7),
                        ("Show", "Stopping", 8, 9))

    def test_not_after_its_time(self):
        self.fits(("Stop", UNKNOWN, 0, 10), ("Show", "Running", 2, 5), ("Show", "Stopped", 6, 7))
        self.is_refused(("Stop", UNKNOWN, 0, 10), ("Show", "Running", 11, 12), ("Show", "Stopped", 13, 14))

    def test_not_where_it_may_not(self):
        self.is_refused(("Start", UNKNOWN, 0, 10), ("Show", "Starting", 2, 3))


class Together(unittest.TestCase):
    """Two instances: a batch is one event for both, and a list shows one moment."""

    def check(self, *events, start=("Running", "Running")):
        return violation(events, "ab", start)

    def test_a_batch_is_seen_whole(self):
        stop = Event("Stop", 0, 10, {"a": ACCEPTED, "b": ACCEPTED})
        for a in ("Stopping", "Stopped"):
            for b in ("Stopping", "Stopped"):
                self.assertIsNone(self.check(stop, Event("Show", 1, 2, {"a": a, "b": b})))
        self.assertIsNotNone(self.check(stop, Event("Show", 1, 2, {"a": "Running", "b": "Stopping"})))
        for i in "ab":  # which each of them alone could not know
            self.assertIsNone(violation([stop, Event("Show", 1, 2, {"a": "Running", "b": "Stopping"})], i, ["Running"]))

    def test_all_or_nothing(self):
        refused = Event("Stop", 0, 1, {"a": UNKNOWN, "b": UNKNOWN}, REFUSED)
        self.assertIsNotNone(self.check(refused))
        self.assertIsNone(self.check(refused, start=("Running", "Stopped")))
        self.assertIsNone(self.check(refused, Event("Show", 2, 3, {"a": "Running"}), start=("Running", "Stopped")))
        self.assertIsNotNone(self.check(refused, Event("Show", 2, 3, {"a": "Stopping"}), start=("Running", "Stopped")))

    def test_each_for_itself(self):
        stop = Event("Stop", 0, 1, {"a": ACCEPTED, "b": REFUSED})
        self.assertIsNone(self.check(stop, start=("Running", "Stopped")))
        self.assertIsNotNone(self.check(stop))

    def test_without_reply(self):
        for note, expected in (("", None), ("AllTogether", "no order")):
            lost = Event("Stop", 0, 1, {"a": UNKNOWN, "b": UNKNOWN}, UNKNOWN, note)
            found = self.check(lost, Event("Show", 2, 3, {"a": "Stopping", "b": "Stopped"}), start=("Running", "Stopped"))
            self.assertEqual(found and found[:8], expected)


class Machine:
    """A correct service, asked by several clients at once: the time of each call, and the moment at which it happened."""

    def __init__(self, seed, clients=8, start="Running"):
        self.chance, self.state, self.now, self.events = random.Random(seed), start, 0, []
        self.free_at = [0] * clients

    def pass_time(self):
        self.now += self.chance.randint(1, 40)
        if self.state in ("Starting", "Stopping") and self.chance.random() < 0.4:
            self.state = {"Starting": "Running", "Stopping": "Stopped"}[self.state]

    def call(self):
        self.pass_time()
        client = min(range(len(self.free_at)), key=self.free_at.__getitem__)
        self.now = max(self.now, self.free_at[client] + 1)
        kind = self.chance.choice(("Show", "Show", *GUARDS))
        what = self.state
        if kind != "Show":
            guard, then = GUARDS[kind]
            what = ACCEPTED if self.state == guard else REFUSED
            self.state = then if what == ACCEPTED else self.state
        began = max(self.free_at[client], self.now - self.chance.randint(0, 200))
        self.free_at[client] = self.now + self.chance.randint(0, 200)
        lost = kind != "Show" and self.chance.random() < 0.01
        self.events.append(Event(kind, began, self.free_at[client], {"a": UNKNOWN if lost else what}, UNKNOWN if lost else ACCEPTED))

    def run(self, calls):
        for _ in range(calls):
            self.call()
        return self.events


def fits_some_order(events, state):
    """The definition, word by word, without any cleverness: tries all orders that time allows, with or without a move of its own
    before each event."""
    if all(e.outcome == UNKNOWN for e in events):
        return True
    first_end = min(e.ended for e in events)
    for event in events:
        if event.began > first_end:
            continue
        rest = [e for e in events if e is not event]
        if event.outcome == UNKNOWN and fits_some_order(rest, state):
            return True
        for now in (state, {"Starting": "Running", "Stopping": "Stopped"}.get(state)):
            if event.kind == "Show":
                after = now if now == event.parts["a"] else None
            else:
                guard, then = GUARDS[event.kind]
                accepted = event.outcome == UNKNOWN or event.parts["a"] == ACCEPTED
                after = (then if now == guard else None) if accepted else (now if now != guard else None)
            if now and after and fits_some_order(rest, after):
                return True
    return False


class Exact(unittest.TestCase):
    def test_the_same_as_trying_all_orders(self):
        chance, verdicts = random.Random(5), {True: 0, False: 0}
        for _ in range(4000):
            events = []
            for _ in range(chance.randint(1, 5)):
                kind, began = chance.choice(("Show", *GUARDS)), chance.randint(0, 12)
                what = chance.choice(("Running", "Starting", "Stopping", "Stopped")) if kind == "Show" else chance.choice((ACCEPTED, REFUSED))
                outcome = UNKNOWN if kind != "Show" and chance.random() < 0.2 else ACCEPTED
                events.append(Event(kind, began, began + chance.randint(1, 8), {"a": what}, outcome))
            start = chance.choice(("Running", "Stopped"))
            expected = fits_some_order(events, start)
            verdicts[expected] += 1
            self.assertEqual(violation(events, "a", [start]) is None, expected, "\n".join(map(str, events)))
        self.assertGreater(min(verdicts.values()), 500, verdicts)


class Long(unittest.TestCase):
    def test_thousands_of_calls_in_seconds(self):
        for seed in range(4):
            events = Machine(seed, clients=12).run(5000)
            began = time.monotonic()
            self.assertIsNone(violation(events, "a", ["Running"]))
            self.assertLess(time.monotonic() - began, 30, "it has to be of use for thousands of calls")

    def test_one_false_word_among_thousands_is_found(self):
        """Many changes of a reply are no lie: another order explains them (Exact says that no others are missed)."""
        found = 0
        for seed in range(100):
            events = Machine(seed, clients=3).run(120)
            self.assertIsNone(violation(events, "a", ["Running"]), seed)
            chance = random.Random(seed)
            event = chance.choice([e for e in events if e.outcome != UNKNOWN])
            before = event.parts["a"]
            false = [w for w in (("Running", "Starting", "Stopping", "Stopped") if event.kind == "Show" else (ACCEPTED, REFUSED))
                     if w != before]
            event.parts["a"] = chance.choice(false)
            found += violation(events, "a", ["Running"]) is not None
        self.assertGreater(found, 50)


if __name__ == "__main__":
    unittest.main()
