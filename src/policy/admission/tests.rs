//! Admission as tables of cases, and as a simulated overload.

use super::super::fair_queue::{FairQueue, Waiting};
use super::super::load::Load;
use super::*;

const CALM: State = State {
    draining: false,
    heap_in_reserve: false,
    broken: None,
    waiting: 10,
    spared: 4,
    wait: 0,
    begin: 200 * MS,
    patience: 5 * SECOND,
    pool: (0, 50),
    turn: 0,
};

fn back(class: Class, state: State) -> Decision {
    decide(Asked::Back { class, old: false, joinable: false, state })
}

#[test]
fn what_the_cache_has_is_answered_whatever_the_state() {
    assert_eq!((decide(Asked::Fresh), decide(Asked::Lagging)), (Decision::Cache, Decision::Stale));
}

#[test]
fn each_state_sends_each_class_away_or_not() {
    use Class::{Critical, Operators, Ordinary, Write};
    let away = |why, seconds| Decision::Away(why, seconds);
    let loaded = State { wait: 900 * MS, ..CALM };
    let broken = State { broken: Some(29_000_001), ..CALM };
    let cases = [
        (CALM, [Decision::Queue; 4]),
        (State { draining: true, ..CALM }, [away(Why::Draining, 1); 4]),
        (State { heap_in_reserve: true, ..loaded }, [away(Why::HeapReserve, 10); 4]),
        (loaded, [Decision::Queue, Decision::Queue, away(Why::Shed, 15), away(Why::Shed, 15)]),
        (broken, [Decision::Queue, away(Why::Broken, 30), away(Why::Broken, 30), away(Why::Broken, 30)]),
    ];
    for (state, wanted) in cases {
        assert_eq!([Operators, Critical, Ordinary, Write].map(|class| back(class, state)), wanted, "{state:?}");
    }
}

#[test]
fn joining_costs_nothing_and_an_old_answer_is_better_than_none() {
    let asked = |old, joinable, state| decide(Asked::Back { class: Class::Ordinary, old, joinable, state });
    let shed = State { wait: 900 * MS, ..CALM };
    let broken = State { broken: Some(1), ..CALM };
    assert_eq!(asked(true, true, CALM), Decision::Join);
    assert_eq!(asked(true, false, CALM), Decision::Queue, "a new answer is better than an old one");
    assert_eq!(asked(true, true, shed), Decision::Join);
    assert_eq!(asked(true, false, shed), Decision::Old(Why::Shed));
    assert_eq!(asked(true, true, broken), Decision::Old(Why::Broken), "whose query is it to join when none may run?");
    assert_eq!(asked(false, true, State { draining: true, ..CALM }), Decision::Join);
}

#[test]
fn the_share_begins_where_the_numbers_say() {
    let cases = [
        (200 * MS, (0, 50), 0),
        (201 * MS, (0, 50), WHOLE / 300),
        (350 * MS, (0, 50), WHOLE / 2),
        (500 * MS, (0, 50), WHOLE),
        (Micros::MAX, (0, 50), WHOLE),
        (20 * MS, (50, 50), 0),
        (21 * MS, (40, 50), 0),
        (21 * MS, (44, 50), WHOLE * 8 / 15),
        (21 * MS, (48, 50), WHOLE),
        (350 * MS, (41, 50), WHOLE / 2),
    ];
    for (wait, pool, wanted) in cases {
        let seen = share(&State { wait, pool, ..CALM });
        assert!(seen.abs_diff(wanted) <= 1, "{wait} us, {pool:?}: {seen}, not {wanted}");
    }
    let long = State { wait: 5 * SECOND, pool: (50, 50), ..CALM };
    assert_eq!(share(&State { waiting: 0, ..long }), 0, "whoever comes next after a long job may wait for its end");
    assert_eq!(share(&State { waiting: 1, ..long }), WHOLE, "and no second one, who would wait in vain");
    let slow = State { wait: 2 * SECOND, pool: (50, 50), ..CALM };
    assert_eq!((share(&State { waiting: 3, ..slow }), share(&State { waiting: 4, ..slow })), (0, WHOLE));
}

#[test]
fn a_client_is_told_when_all_who_ask_now_could_have_been_served() {
    let cases = [
        (0, 0, 1),
        (300 * MS, WHOLE / 3, 1),
        (470 * MS, WHOLE / 10 * 9, 5),
        (3 * SECOND, WHOLE / 2, 6),
        (SECOND, WHOLE, 16),
        (Micros::MAX, WHOLE, 60),
    ];
    for (wait, share, wanted) in cases {
        assert_eq!(retry_after(wait, share), wanted, "{wait} us, {share}");
    }
}

#[test]
fn turns_are_even_and_clients_in_step_share_the_fate() {
    for share in [WHOLE / 10, WHOLE / 2, WHOLE / 10 * 9] {
        let mut turns = Turns::default();
        let (mut shed, mut by_client) = (0_u32, [0_u32; 2]);
        for asked in 1..=10_000_u32 {
            if turns.peek() < share {
                shed += 1;
                by_client[asked as usize % 2] += 1;
            }
            turns.pass();
            let due = (u64::from(asked) * u64::from(share) / u64::from(WHOLE)) as u32;
            assert!(shed.abs_diff(due) <= 4, "{shed} of {asked} at a share of {share}");
        }
        assert!(by_client[0].abs_diff(by_client[1]) <= 10, "two clients in turns: {by_client:?} at a share of {share}");
    }
}

#[test]
fn a_connection_goes_where_there_is_room_for_it() {
    let nobody = Newcomer { operators: false, under_cap: true, public_free: false, reserve_free: true, reclaimable: false };
    let cases = [
        (Newcomer { public_free: true, ..nobody }, Seat::Public),
        (Newcomer { public_free: true, under_cap: false, ..nobody }, Seat::ClientCap),
        (Newcomer { reclaimable: true, ..nobody }, Seat::Reclaimed),
        (nobody, Seat::Full),
        (Newcomer { operators: true, ..nobody }, Seat::Reserve),
        (Newcomer { operators: true, reserve_free: false, reclaimable: true, ..nobody }, Seat::Reclaimed),
        (Newcomer { operators: true, reserve_free: false, ..nobody }, Seat::Full),
    ];
    for (newcomer, wanted) in cases {
        assert_eq!(seat(newcomer), wanted, "{newcomer:?}");
    }
}

/// A seeded generator (SplitMix64), so that a run can be had again.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A time with this mean, as of a Poisson process.
    fn exponential(&mut self, mean: Micros) -> Micros {
        (-(1.0 - self.next()).ln() * mean as f64) as Micros
    }
}

/// How a simulated day went.
#[derive(Debug)]
struct Day {
    /// The share of the time that the back worked for who was answered.
    useful: f64,
    shed: usize,
    longest_critical: Micros,
    /// How long the others that were let in had waited, on the average.
    usual: Micros,
}

const PLACES: usize = 52;
/// What the back can do in a day.
const JOBS: u64 = 1500;

/// `tenths` tenths of what the back can do arrive all day long, one of them critical, from `clients` clients in connections that have one request
/// each. Whoever finds no slot is turned away.
fn day(seed: u64, tenths: u64, cost: Micros, clients: u64) -> Day {
    let mut chance = Chance(seed);
    let mut queue: FairQueue<PLACES> = FairQueue::new();
    let mut load: Load<2> = Load::new();
    let mut turns = Turns::default();
    let mut free: Vec<u16> = (0..PLACES as u16).collect();
    let mut seen = Day { useful: 0.0, shed: 0, longest_critical: 0, usual: 0 };
    let mut waits = Vec::new();
    // (end, slot, client, cost) of what runs.
    let mut running: Option<(Micros, u16, u64, Micros)> = None;
    let (mut now, mut next, mut worked) = (0, 0, 0);
    while now < JOBS * cost {
        if let Some((end, slot, client, spent)) = running.filter(|&(end, ..)| end <= next) {
            now = end;
            load.end(false, now);
            queue.charge(client, spent);
            free.push(slot);
            worked += spent;
            running = None;
        } else {
            now = next;
            next += chance.exponential(cost * 10 / tenths).max(1);
            let client = (chance.next() * clients as f64) as u64;
            let kind = usize::from(chance.next() < 1.0 / tenths as f64);
            let class = if kind == 1 { Class::Critical } else { Class::Ordinary };
            if let Some(slot) = free.pop() {
                let ahead = queue.ahead_of(client, load.read(kind), kind == 1);
                let wait = load.wait_of_read(ahead.reads, ahead.cost, now);
                let pool = (PLACES - 1 - free.len(), PLACES);
                let state = State { waiting: queue.ordinary(), wait, pool, turn: turns.peek(), ..CALM };
                if class == Class::Ordinary && share(&state) > 0 {
                    turns.pass();
                }
                match back(class, state) {
                    Decision::Queue => {
                        let entry =
                            Waiting { slot, client, since: now, not_before: now, cost: load.read(kind), critical: kind == 1 };
                        queue.push(entry).unwrap();
                    }
                    Decision::Away(Why::Shed, _) => {
                        seen.shed += 1;
                        free.push(slot);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        if running.is_none()
            && let Some(entry) = queue.pop(now)
        {
            match now - entry.since {
                waited if entry.critical => seen.longest_critical = seen.longest_critical.max(waited),
                waited => waits.push(waited),
            }
            // Half of it for sure, half by chance.
            let spent = cost / 2 + chance.exponential(cost / 2).min(4 * cost);
            load.begin_read(usize::from(entry.critical), now + 10 * SECOND, now);
            running = Some((now + spent, entry.slot, entry.client, spent));
        }
    }
    seen.usual = waits.iter().sum::<Micros>() / waits.len() as Micros;
    seen.useful = worked as f64 / now as f64;
    seen
}

#[test]
fn at_any_overload_the_back_works_for_whom_it_let_in_and_critical_requests_hardly_wait() {
    for cost in [500, 5 * MS, 50 * MS, 400 * MS] {
        for (tenths, clients) in [(10, 50), (15, 50), (20, 3), (50, 1000), (100, 50), (100, 2), (200, 50), (200, 100_000)] {
            let seed = cost * 1000 + tenths * 10 + clients;
            let seen = day(seed, tenths, cost, clients);
            let told = format!("seed {seed}: {} times of {cost} us from {clients} clients: {seen:?}", tenths as f64 / 10.0);
            // At exactly what it can do, chance leaves it idle now and then.
            assert!(seen.useful >= if tenths == 10 { 0.85 } else { 0.95 }, "{told}");
            assert!(tenths == 10 || seen.shed > 0, "{told}");
            // The job that runs, and what else critical is there; one in five is not critical.
            assert!(seen.longest_critical <= 16 * cost, "{told}");
            // Let in below half a second, and passed by a critical one in ten. Who was served for longer than others waits longer than they.
            assert!(seen.usual <= 550 * MS + 5 * cost, "{told}");
        }
    }
}
