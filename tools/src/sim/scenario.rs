//! Who comes: the kind of day that a seed stands for.

use std::net::{Ipv4Addr, SocketAddr};

use flagstone::budget::{ANSWER_BYTES, SLOTS, SLOTS_PER_CLIENT};
use flagstone::job::{Job, Micros};

use super::actor::{Actor, Ending, Manner, any};
use super::options::{Fault, Faults};
use super::request::Taste;
use super::world::{Due, World};

/// The longest job of the heavy client where fairness is judged.
const HEAVY_COST: Micros = 100_000;
/// The longest job of the light one.
const LIGHT_COST: Micros = 1000;
/// What a job may take beside its cost: turns in it, and those between jobs.
const OVERHEAD: Micros = 20_000;

/// A light client beside a heavy one waits for about one heavy job.
#[derive(Clone, Copy, Debug)]
pub struct Fairness {
    light: SocketAddr,
}

impl Fairness {
    /// Looks at how long the job that begins has waited.
    pub fn judge(self, job: &Job, world: &World) {
        let connection = world.by_slot[usize::from(job.slot.index)].map(|id| &world.connections[id]);
        if connection.is_some_and(|connection| connection.peer == self.light) {
            let waited = world.now - job.arrived;
            let bound = HEAVY_COST + HEAVY_COST / 2 + LIGHT_COST + OVERHEAD;
            assert!(waited <= bound, "at {}: the light client has waited {waited} us behind a heavy one", world.now);
        }
    }
}

/// Plans all clients of a seed, and the stop.
pub fn people(world: &mut World, seed: u64) -> Option<Fairness> {
    let fairness = (seed % 8 == 7).then(|| fair_day(world));
    if fairness.is_none() {
        let (crowd, clients, within, size) = match seed % 8 {
            // More than there are slots, at once.
            0 => (30, 3 * SLOTS as u64, 200_000, 5000),
            // Large answers for clients that are slow to take them: the output blocks run out.
            1 => (20, SLOTS as u64, 1_000_000, ANSWER_BYTES as u64),
            // A few clients at the cap of connections.
            2 => (1, 6 * SLOTS_PER_CLIENT as u64, 50_000, 50_000),
            // More work than the back can do.
            3 => (20, 2 * SLOTS as u64, 300_000, 5000),
            _ => (8, SLOTS as u64 / 2, 5_000_000, 200_000),
        };
        let count = world.random.range(1, clients);
        let mute = world.random.percent(50);
        for _ in 0..count {
            let mut random = world.random.clone();
            let mut manner = any(&mut random, world, crowd, size.min(ANSWER_BYTES as u64));
            world.random = random;
            if seed % 8 == 1 {
                hoards(world, &mut manner, size, mute);
            }
            if seed % 8 == 3 {
                manner.taste = Taste { cost: 900_000, greedy: true, ..manner.taste };
            }
            come(world, manner, within);
        }
    }
    if world.has(Fault::Drain) && world.random.percent(40) {
        let after = world.random.range(1000, 20_000_000);
        world.schedule(after, Due::Stop);
    }
    fairness
}

fn come(world: &mut World, manner: Manner, within: Micros) {
    world.actors.push(Actor::new(manner));
    let after = world.random.range(0, within);
    world.schedule(after, Due::Actor(world.actors.len() - 1));
}

/// Asks much, and takes little or, where `mute` is set, nothing.
fn hoards(world: &mut World, manner: &mut Manner, size: u64, mute: bool) {
    if manner.listener == 0 && world.has(Fault::Slow) && world.random.percent(if mute { 95 } else { 70 }) {
        manner.taste = Taste { cost: 300, size, plain: 90, shared: 10, greedy: true, ops: false };
        (manner.depth, manner.requests, manner.think) = (16, 8, 10);
        (manner.segment, manner.segment_gap) = (65_536, 10);
        (manner.take, manner.take_gap) = (world.random.spread(1000, 100_000) as usize, world.random.spread(10_000, 2_000_000));
        if mute {
            manner.vanish = Some((world.random.spread(100, 100_000), false));
        }
    }
}

/// Nothing but a heavy and a light client: whatever else took time would be waited for as well.
fn fair_day(world: &mut World) -> Fairness {
    world.options.faults = Faults::NONE;
    let calm = |address: SocketAddr, taste, requests, depth, think| Manner {
        address,
        listener: 0,
        taste,
        connections: 1,
        requests,
        depth,
        think,
        segment: 65_536,
        segment_gap: 10,
        take: 1 << 20,
        take_gap: 50,
        ending: Ending::Close,
        vanish: None,
    };
    let taste = |cost| Taste { cost, size: 1000, plain: 100, shared: 0, greedy: false, ops: false };
    let from = |number, port| SocketAddr::new(Ipv4Addr::new(10, 0, 0, number).into(), port);
    let connections = world.random.range(1, 10);
    for port in 0..connections {
        let depth = world.random.spread(1, 4);
        come(world, calm(from(1, 2000 + port as u16), taste(HEAVY_COST), 40, depth, 10), 1000);
    }
    let light = from(2, 1000);
    come(world, calm(light, taste(LIGHT_COST), 100, 1, 5000), 1000);
    Fairness { light }
}
