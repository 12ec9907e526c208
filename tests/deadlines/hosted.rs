//! The real front over real sockets in a thread, with times of the test's choice and a stand-in for the back.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Instant;

use flagstone::api::route::Route;
use flagstone::budget::{ANSWER_BYTES, CONNECTIONS};
use flagstone::config::{Config, Limits};
use flagstone::front::mio_net::MioNet;
use flagstone::front::slots::Listening;
use flagstone::front::{Front, Regions, Setup, Wait, Work};
use flagstone::http::accept::Media;
use flagstone::http::etag::TagKey;
use flagstone::job::{Job, Made, Outcome, Reply, TableSet};
use flagstone::memory::sink::Sink;
use flagstone::policy::hosts::Hosts;
use flagstone::start::address::Address;
use flagstone::start::listen;
use serde_json::Value;

use crate::server::wait_for;
use crate::wire::Wire;

pub struct Hosted {
    pub address: SocketAddr,
    paused: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hosted {
    pub fn new(limits: Limits) -> Hosted {
        let bound = listen::bind(&Address::Tcp(([127, 0, 0, 1], 0).into()), "").expect("a free port");
        let Address::Tcp(address) = bound.address else { panic!("a port was asked for") };
        let (paused, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let flags = (paused.clone(), over.clone());
        let thread = std::thread::spawn(move || {
            let mut sockets = heapless::Vec::new();
            sockets.push(bound.socket).expect("one fits");
            let mut listeners = heapless::Vec::new();
            listeners.push(Listening::Public).expect("one fits");
            let net = MioNet::new(sockets, Instant::now(), false).expect("a poll");
            let config = Rc::new(config(limits));
            let setup = Setup { listeners, config, tag_key: TagKey([7; 16]), hosts: Hosts::new("") };
            run(&mut Front::new(net, setup, Regions::leaked()), &flags.0, &flags.1);
        });
        Hosted { address, paused, over, thread: Some(thread) }
    }

    /// From now on the stand-in takes no job.
    pub fn pause(&self) {
        self.paused.store(true, SeqCst);
    }

    pub fn resume(&self) {
        self.paused.store(false, SeqCst);
    }

    /// `/-/status`, over a connection of its own that the server closes.
    pub fn status(&self) -> Value {
        self.page("/-/status")
    }

    /// Output blocks in use.
    pub fn blocks(&self) -> usize {
        let page = self.page("/-/budget");
        let uses = page["use"].as_array().expect("an array");
        let blocks = uses.iter().find(|part| part["name"] == "output blocks").expect("the blocks");
        blocks["now"].as_u64().expect("a number") as usize
    }

    /// Waits until all connections but `count` have ended.
    pub fn only_slots(&self, count: usize) {
        wait_for("the slots are free", || self.status()["connections"]["free"] == CONNECTIONS - count - 1);
    }

    fn page(&self, target: &str) -> Value {
        let mut wire = Wire::to(self.address);
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
        wire.answer().json()
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        let joined = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(joined, Some(Ok(()))), "the front has panicked");
        }
    }
}

fn run(front: &mut Front<MioNet>, paused: &AtomicBool, over: &AtomicBool) {
    let mut reply = Reply::new(vec![0; ANSWER_BYTES].leak());
    while !over.load(SeqCst) {
        // At most a second; a pause that ends in between is noticed by the next event or then.
        front.turn(Wait::UntilEvent);
        while !paused.load(SeqCst)
            && let Some(Work::Job(job)) = front.next_work()
        {
            let outcome = outcome(&job, &mut reply);
            front.finish(job, outcome, &reply);
        }
    }
}

/// `/tables/t/SIZE` has a body of so many bytes; `/tables/t/busy` is always locked.
fn outcome(job: &Job, reply: &mut Reply) -> Outcome {
    reply.clear();
    let bytes = job.exchange.current();
    let Route::Row { key, .. } = Route::of(job.exchange.request().path(bytes)) else { panic!("not a path of these tests") };
    let Some(size) = std::str::from_utf8(key).ok().and_then(|key| key.parse::<usize>().ok()) else { return Outcome::Busy };
    for _ in 0..size / 64 {
        reply.put(&[b'x'; 64]).expect("at most ANSWER_BYTES");
    }
    reply.put(&[b'x'; 64][..size % 64]).expect("at most ANSWER_BYTES");
    Outcome::Rows(Media::Json, Made { stamp: None, volatile: false, tables: TableSet::NONE, cost: 1 })
}

fn config(limits: Limits) -> Config {
    let mut config = Config::new();
    config.limits = limits;
    config
}
