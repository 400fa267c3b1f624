//! nginx, reloaded again and again while handlers await and a burst is on its way: each request is answered, and the old workers exit. And
//! nginx after a task has ended the request that receives for the worker.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use compat_tests::run::limited;

use crate::Host;
use crate::client::HTTP;
use crate::programs::{nginx_with, socket};

/// What is asked of `hosts/nginx_awaits.lua`, and what it answers.
const ASKED: [(&[u8], &str); 2] = [
    (HTTP, "42, timed out after 0.01 s, syntax error, the loop ended the task\n"),
    (b"GET /leave HTTP/1.0\r\n\r\n", "left\n"),
];

const CLIENTS: usize = 4;
const RELOADS: usize = 3;

/// nginx with `hosts/nginx_awaits.lua`.
fn started(host: Host) -> Command {
    let _ = std::fs::remove_file(socket(host));
    let _ = std::fs::remove_file(socket(host).with_file_name("pid"));
    nginx_with(
        host,
        // What the master process requires is there in each worker, which it forks.
        "init_by_lua_block { require \"darksidesync\" }\n  init_worker_by_lua_block { require(\"nginx_awaits\").begin() }",
        "content_by_lua_block { require(\"nginx_awaits\").answer() } } \
         location /leave { content_by_lua_block { require(\"nginx_awaits\").leave() } } \
         location /exit { content_by_lua_block { require(\"nginx_awaits\").exit() } } \
         location /busy { content_by_lua_block { require(\"nginx_awaits\").busy() } } \
         location /late { content_by_lua_block { require(\"nginx_awaits\").late() }",
    )
}

/// The answer to a request, or the error.
fn exchange(mut stream: UnixStream, request: &[u8]) -> String {
    let mut answer = String::new();
    let read = stream.write_all(request).and_then(|()| stream.read_to_string(&mut answer));
    read.map_or_else(|error| error.to_string(), |_| answer)
}

/// The answer to a request, from when nginx can be connected.
fn ask(path: &Path, request: &[u8]) -> String {
    for _ in 0..1000 {
        if let Ok(stream) = UnixStream::connect(path) {
            // A request that is not answered fails, and does not hang.
            let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
            return exchange(stream, request);
        }
        thread::sleep(Duration::from_millis(10));
    }
    "no connection".to_owned()
}

pub(crate) fn recovers(host: Host) -> Result<(), String> {
    let path = socket(host);
    let (path, mut command) = (&path, started(host));
    let (ended, answers) = thread::scope(|scope| {
        let asks = scope.spawn(move || {
            let mut answers = vec![
                (ask(path, b"GET /exit HTTP/1.0\r\n\r\n"), "3\n"),
                (ask(path, ASKED[0].0), ASKED[0].1),
                (ask(path, b"GET /busy HTTP/1.0\r\n\r\n"), "4\n"),
            ];
            let late = scope.spawn(move || ask(path, b"GET /late HTTP/1.0\r\n\r\n"));
            thread::sleep(Duration::from_millis(300));
            // SAFETY: nginx's master process, which runs until it gets this.
            unsafe {
                libc::kill(number(&path.with_file_name("pid")).expect("it has answered"), libc::SIGQUIT)
            };
            answers.push((late.join().expect("it does not panic"), "late\n"));
            answers
        });
        (limited(&mut command, Duration::from_secs(120)), asks.join().expect("it does not panic"))
    });
    let right = answers.iter().all(|(answer, wanted)| answer.ends_with(wanted));
    let unharmed = ["[alert]", "entry thread aborted"].iter().all(|fault| !ended.stderr.contains(fault));
    if right && ended.succeeded() && unharmed {
        return Ok(());
    }
    Err(format!("{answers:?}\n{}", ended.report()))
}

pub(crate) fn run(host: Host) -> Result<(), String> {
    let path = socket(host);
    let mut command = started(host);
    let pid = path.with_file_name("pid");
    let ends = AtomicBool::new(false);
    let (path, ends) = (&path, &ends);
    let (ended, answers) = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || ask_until(path, client % 2, ends))).collect();
        let reloads = scope.spawn(|| {
            while number(&pid).is_none() {
                thread::sleep(Duration::from_millis(10));
            }
            for signal in [libc::SIGHUP; RELOADS].into_iter().chain([libc::SIGQUIT]) {
                thread::sleep(Duration::from_millis(400));
                if signal == libc::SIGQUIT {
                    // Who connects while it stops is refused, as it should be.
                    ends.store(true, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(400));
                }
                // SAFETY: nginx's master process, which runs until it gets the last of these.
                unsafe { libc::kill(number(&pid).expect("as above"), signal) };
            }
        });
        let ended = limited(&mut command, Duration::from_secs(120));
        ends.store(true, Ordering::SeqCst);
        let answers: Vec<_> =
            clients.into_iter().flat_map(|client| client.join().expect("it does not panic")).collect();
        let _ = reloads.join();
        (ended, answers)
    });
    let wrong = answers.iter().find(|(asked, answer)| !answer.ends_with(ASKED[*asked].1));
    if wrong.is_none()
        && answers.len() > 10 * RELOADS
        && ended.succeeded()
        && !ended.stderr.contains("[alert]")
    {
        println!("nginx, reloaded {RELOADS} times: {} answers", answers.len());
        return Ok(());
    }
    Err(format!("{} answers, among them {wrong:?}\n{}", answers.len(), ended.report()))
}

fn number(pid: &Path) -> Option<i32> {
    std::fs::read_to_string(pid).ok()?.trim().parse().ok()
}

/// The answers to one of [`ASKED`], one after the other, from the first that can be connected.
fn ask_until(path: &Path, asked: usize, ends: &AtomicBool) -> Vec<(usize, String)> {
    let mut answers = Vec::new();
    while !ends.load(Ordering::SeqCst) {
        let Ok(stream) = UnixStream::connect(path) else {
            if !answers.is_empty() {
                answers.push((asked, "no connection".to_owned()));
            }
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        answers.push((asked, exchange(stream, ASKED[asked].0)));
    }
    answers
}
