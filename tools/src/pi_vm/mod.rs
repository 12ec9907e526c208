//! An emulated machine of the kind that is meant (four Cortex-A53 cores, 512 MB), with nothing on it but busybox and our tarball: it
//! serves the demo within the memory sheet, and loses nothing acknowledged when its power is cut. See [`options::HELP`].
//!
//! ```text
//! serving  the demo, asked from here          machine  qemu's process, its console, its end
//! cuts     power cuts in the middle of writes  archive  the initramfs     init.sh  what the machine runs
//! ```

mod archive;
mod cuts;
mod machine;
mod options;
mod serving;

use std::ffi::OsString;
use std::io::{self, Error};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::rig::line::Line;
use cuts::Cuts;
use machine::Parts;
use options::{Options, Program};
use serving::Served;

/// Exit codes as of sysexits.h; 1 is a machine that did not hold what is promised.
const EXIT_FOUND: u8 = 1;
const EXIT_USAGE: u8 = 64;
const EXIT_INTERNAL: u8 = 70;

/// Pi OS as it comes: no memory cgroup, no PSI, and on some of its kernels no Landlock.
const WITHOUT: &str = "cgroup_disable=memory psi=0 lsm=yama";
/// Everything that the kernel can.
const WITH: &str = "cgroup_enable=memory psi=1 lsm=landlock,yama";
/// From the first line of the server's to its first 200 of /-/ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks.
const BREATH: Duration = Duration::from_millis(20);

/// `tools pi-vm`.
pub fn command(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let options = match options::parse(arguments) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("pi-vm: {error}\nTry: tools pi-vm --help");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match run(&options) {
        Ok(true) => {
            println!("pi-vm: passed. All of this was emulated: no hardware has been measured.");
            ExitCode::SUCCESS
        }
        Ok(false) => {
            println!("pi-vm: FAILED");
            ExitCode::from(EXIT_FOUND)
        }
        Err(error) => {
            eprintln!("pi-vm: {error}");
            ExitCode::from(EXIT_INTERNAL)
        }
    }
}

fn run(options: &Options) -> io::Result<bool> {
    let folder = machine_folder()?;
    let scratch = tempfile::tempdir()?;
    let tarball = tarball(&options.program, scratch.path())?;
    println!("machine: qemu-system-aarch64 -machine virt -cpu cortex-a53 -smp 4 -m 512, {}", folder.display());
    println!("server:  {} ({} KiB packed)", options.program.path().display(), tarball.len() / 1024);
    let parts = |kernel| Parts { folder: &folder, tarball: &tarball, kernel, arguments: "--demo -l 0.0.0.0:8080", disk: None };
    let mut good = true;
    for kernel in [WITHOUT, WITH] {
        let began = Instant::now();
        let served = serving::serve(&parts(kernel), scratch.path())?;
        print_served(&served, kernel, began.elapsed());
        good &= served.is_good();
    }
    if options.cuts > 0 {
        let began = Instant::now();
        let cuts = cuts::cut(&parts(WITHOUT), options.cuts, options.writers, scratch.path())?;
        print_cuts(&cuts, began.elapsed());
        good &= cuts.is_good();
    }
    Ok(good)
}

fn print_served(served: &Served, kernel: &str, took: Duration) {
    println!("\n{}: {} ({:.0} s)", served.machine, kernel, took.as_secs_f64());
    println!("  kernel          {}", served.kernel);
    for line in &served.told {
        println!("  server          {line}");
    }
    println!("  answers         {} with 200, {} by the cache", served.answers, served.hits);
    println!("  RssAnon         {} KiB when ready, {} KiB after them", served.anonymous.0, served.anonymous.1);
    println!("  sheet           {} KiB: {:+.2} %", served.sheet, served.difference());
    println!("  after SIGTERM   exit {}", served.exit);
}

fn print_cuts(cuts: &Cuts, took: Duration) {
    println!("\npower cut {} times in the middle of writes ({:.0} s)", cuts.cuts, took.as_secs_f64());
    println!("  acknowledged    {}", cuts.acknowledged);
    println!("  under way       {}", cuts.under_way);
    println!("  missing         {} by requests after the next boot", cuts.missing);
    println!("  in the file     {:?}", cuts.findings);
}

/// Kernel, modules and busybox: fetched when they are not there yet.
fn machine_folder() -> io::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("arm64/machine.sh");
    let output = Command::new(&script).stderr(Stdio::inherit()).output()?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { Ok(PathBuf::from(folder)) } else { Err(Error::other("the machine's parts are not there")) }
}

/// The tarball's bytes, of a bare program one that holds it alone.
fn tarball(program: &Program, scratch: &Path) -> io::Result<Vec<u8>> {
    let Program::Server(path) = program else { return std::fs::read(program.path()) };
    let folder = scratch.join("flagstone");
    std::fs::create_dir(&folder)?;
    std::fs::copy(path, folder.join("flagstone"))?;
    let output = Command::new("tar").args(["-czf", "-", "-C"]).arg(scratch).arg("flagstone").stderr(Stdio::inherit()).output()?;
    if output.status.success() { Ok(output.stdout) } else { Err(Error::other("tar failed")) }
}

/// Asks /-/ready until it says 200.
fn wait_until_ready(address: SocketAddr) -> io::Result<()> {
    let until = Instant::now() + READY_WITHIN;
    let ask = || Line::open(address)?.ask("GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n");
    loop {
        match ask() {
            Ok(Some(answer)) if answer.status == 200 => return Ok(()),
            answer if Instant::now() > until => return Err(Error::other(format!("not ready: {answer:?}"))),
            _ => std::thread::sleep(BREATH),
        }
    }
}
