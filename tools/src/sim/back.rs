//! The simulated back: what a job costs and what it comes to stands in the request's path, read from the bytes that the front handed over.

use flagstone::api::problem::Problem;
use flagstone::back::turns::GAP;
use flagstone::http::accept::Media;
use flagstone::job::{Go, Job, Made, Micros, Outcome, Reply, TableSet};
use flagstone::memory::sink::Sink;

use super::database::{TARGETS, body_number, target_of};
use super::ledger::lines;
use super::options::{Fault, Plant};
use super::request::Want;
use super::world::{Shared, World};

/// What a path asks of the back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: u64,
    pub size: u64,
    pub cost: Micros,
    pub kind: char,
}

impl Order {
    /// Reads `/tables/s/ID.SIZE.COST.KIND`.
    pub fn of(path: &[u8]) -> Option<Order> {
        let mut parts = std::str::from_utf8(path).ok()?.strip_prefix("/tables/s/")?.split('.');
        let mut number = || parts.next()?.parse().ok();
        let (id, size, cost) = (number()?, number()?, number()?);
        Some(Order { id, size, cost, kind: parts.next()?.chars().next()? })
    }
}

/// Runs a job: time passes, the front gets its turns, the reply is filled. `None` stands for a panic.
pub fn run(job: &Job, reply: &mut Reply, world: &Shared, turn: &mut dyn FnMut() -> Go) -> Option<Outcome> {
    let path = job.exchange.request().path(job.exchange.current());
    let order = Order::of(path).unwrap_or_else(|| panic!("a job with the path {:?}", String::from_utf8_lossy(path)));
    belongs(&world.borrow(), job, order);
    reply.clear();
    // The name first, then the rows that it is to stand for: whatever is committed between makes the name older than they are.
    let mut stamp = world.borrow_mut().stamp();
    let reads_at = pause(&mut world.borrow_mut(), order.cost);
    let mut version = world.borrow().database.version;
    let mut left = order.cost;
    let mut turned = world.borrow().now;
    while left > 0 {
        let slice = slice(&mut world.borrow_mut(), order.cost).min(left);
        world.borrow_mut().advance(slice);
        if left >= reads_at {
            version = world.borrow().database.version;
        }
        left -= slice;
        let now = world.borrow().now;
        if now >= job.deadline {
            let mut problem = Problem::new(503, "query-timeout", "The query took too long");
            problem.retry_after = Some(1);
            return Some(Outcome::Problem(problem));
        }
        if now >= turned + GAP {
            if turn() == Go::Stop {
                return Some(Outcome::Abandoned);
            }
            turned = world.borrow().now;
        }
    }
    if world.borrow().options.plant == Some(Plant::LateStamp) {
        stamp = world.borrow_mut().stamp();
    }
    let chance = world.borrow_mut().random.range(0, 99);
    let fault = world.borrow().options.faults;
    match order.kind {
        's' if chance < 3 && fault.has(Fault::Panic) => None,
        's' if chance >= 90 && fault.has(Fault::Busy) => Some(Outcome::Busy),
        'p' => Some(Outcome::Problem(Problem::no_row("s"))),
        'x' => None,
        'b' if world.borrow_mut().random.percent(70) => Some(Outcome::Busy),
        _ => {
            let wrong = world.borrow().options.plant == Some(Plant::WrongReply) && world.borrow_mut().random.one_in(20);
            fill(reply, Order { id: order.id - u64::from(wrong), ..order }, version);
            let volatile = target_of(order.id).is_some_and(|target| TARGETS[target].volatile);
            Some(Outcome::Rows(Media::Json, Made { stamp, volatile, tables: TableSet::EVERYTHING, cost: order.cost }))
        }
    }
}

/// Between a state's name and the first row others may commit; returns how much work is left when the last row has been read.
fn pause(world: &mut World, cost: Micros) -> Micros {
    world.advance(1);
    if world.random.one_in(20) {
        let now = world.now;
        world.database.commit(now);
    }
    if world.random.percent(30) { world.random.range(0, cost) } else { Micros::MAX }
}

/// The time until the back looks at the clock again; with gaps, sometimes that of one long step. Long jobs look less often, so
/// that a run does not consist of them.
fn slice(world: &mut World, cost: Micros) -> Micros {
    if world.has(Fault::Gaps) && world.random.one_in(300) {
        world.random.spread(1000, 300_000)
    } else {
        world.random.range(20, 700.max(cost / 40))
    }
}

fn fill(reply: &mut Reply, order: Order, version: u64) {
    let shared = target_of(order.id);
    let lines = lines(shared.map_or(order.id, |target| body_number(target, version)));
    let lines = &lines[..4096];
    let mut left = order.size as usize;
    while left > 0 {
        let take = left.min(lines.len());
        reply.put(&lines[..take]).expect("no order is larger than an answer");
        left -= take;
    }
    if shared.is_some() {
        let next = format!("/tables/s/{}.v{version}", order.id);
        reply.next.extend_from_slice(next.as_bytes()).expect("a short target");
    } else if order.id.is_multiple_of(3) {
        let next = format!("/tables/s/{}", order.id);
        reply.next.extend_from_slice(next.as_bytes()).expect("a short target");
    }
}

/// The job's request is one that its connection has sent whole and that has no answer yet.
fn belongs(world: &World, job: &Job, order: Order) {
    let connection = world.by_slot[usize::from(job.slot.index)].map(|id| &world.connections[id]);
    let connection = connection.filter(|connection| connection.slot == Some(job.slot));
    let Some(connection) = connection else { panic!("a job for a connection that has ended: {order:?}") };
    let ledger = &connection.ledger;
    let asked = ledger.asked.iter().find(|asked| match (asked.want, target_of(order.id)) {
        (Want::Shared { target, .. }, Some(wanted)) => target == wanted,
        _ => asked.id == order.id,
    });
    assert!(asked.is_some_and(|asked| asked.end <= ledger.read), "a job that its connection has not asked for: {order:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_stand_in_the_path() {
        assert_eq!(Order::of(b"/tables/s/7.100.50.r"), Some(Order { id: 7, size: 100, cost: 50, kind: 'r' }));
        assert_eq!(Order::of(b"/tables/s/7.100"), None);
    }
}
