//! Drills over real sockets: each forces its fall in a live server and shows the way back. Critical answers go on meanwhile, and none is wrong.

mod configured;
mod server;

#[path = "drills/orders.rs"]
mod orders;
#[path = "drills/panics.rs"]
mod panics;
#[path = "drills/scene.rs"]
mod scene;
#[path = "drills/storage.rs"]
mod storage;
