//! A client of the host's own: it asks the host again and again for a word, and notes how long the longest answer took.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long it waits between two requests.
const PAUSE: Duration = Duration::from_millis(20);

/// What all hosts but Neovim understand, or take for a line.
pub(crate) const HTTP: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// Neovim's: the request 1, `nvim_eval("1")`, in MessagePack.
pub(crate) const MESSAGE_PACK: &[u8] = b"\x94\x00\x01\xa9nvim_eval\x91\xa11";

/// What it has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) count: usize,
    pub(crate) longest: Duration,
}

/// A client that is running.
pub(crate) struct Client {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Answers>,
}

impl Client {
    /// `path` is a socket of the host's, or a file with the number of a port.
    pub(crate) fn start(path: PathBuf, request: &'static [u8]) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            let mut answers = Answers::default();
            while !seen.load(Ordering::Relaxed) {
                let begun = Instant::now();
                if ask(&path, request).is_ok() {
                    answers.count += 1;
                    answers.longest = answers.longest.max(begun.elapsed());
                }
                thread::sleep(PAUSE);
            }
            answers
        });
        Client { ends, thread }
    }

    /// The host has ended.
    pub(crate) fn stop(self) -> Answers {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic")
    }
}

fn ask(path: &Path, request: &[u8]) -> io::Result<()> {
    if fs::metadata(path)?.is_file() {
        let text = fs::read_to_string(path)?;
        let port = text.strip_suffix('\n').and_then(|port| port.parse().ok());
        let port: u16 = port.ok_or(io::ErrorKind::InvalidData)?;
        exchange(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?, request)
    } else {
        exchange(UnixStream::connect(path)?, request)
    }
}

/// Sends a request, and waits for the first byte of the answer.
fn exchange(mut stream: impl Read + Write, request: &[u8]) -> io::Result<()> {
    stream.write_all(request)?;
    stream.read_exact(&mut [0])
}
