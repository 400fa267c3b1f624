//! What was done outside, what arrived in Lua, and what is missing between the two.

use std::collections::{BTreeMap, VecDeque};

use crate::outside::{self, Done};
use crate::script::{Counts, Heard};
use crate::times::Times;

/// The libraries, in the order in which the script registers them.
pub(crate) const LIBRARIES: [&str; 4] = ["timer", "luaexit", "fswatch", "httpd"];
const TIMER: usize = 0;
const LUAEXIT: usize = 1;
const FSWATCH: usize = 2;
const HTTPD: usize = 3;

/// What is known of one library.
#[derive(Default)]
pub(crate) struct Row {
    /// Callbacks that ran in Lua.
    pub(crate) callbacks: u64,
    /// How long each was on its way.
    pub(crate) times: Times,
    /// The last of them, in words.
    pub(crate) last: String,
    /// What DSS counts.
    pub(crate) counts: Counts,
    /// These counts are those of the moment before the stop.
    pub(crate) closed: bool,
}

/// What Lua was told of a file that was written.
#[derive(Default)]
struct Fate {
    written: bool,
    created: bool,
    read: bool,
    removed: bool,
}

/// All that is counted.
#[derive(Default)]
pub(crate) struct Tally {
    /// By library, as in [`LIBRARIES`].
    pub(crate) rows: [Row; 4],
    files: BTreeMap<u32, Fate>,
    /// Requests that came to their end.
    asked: u64,
    /// Those of them that got the right answer.
    answered: u64,
    signals: Signals,
    once: u64,
    armed: u64,
    ended: bool,
    left: Option<u64>,
    /// What went wrong in Lua, a sentence each.
    wrong: Vec<String>,
    /// What went wrong outside.
    failed: Vec<String>,
}

/// Signals between the two. The first of the one is the first of the other: each is sent when the last has arrived.
#[derive(Default)]
struct Signals {
    sent: u64,
    sent_at: VecDeque<f64>,
    heard_at: VecDeque<f64>,
}

/// What the tour is to react to.
pub(crate) enum News {
    /// Lua has got a SIGTERM.
    Signal,
    /// Lua has read this file.
    Read(u32),
}

impl Tally {
    /// Counts what Lua said.
    pub(crate) fn heard(&mut self, heard: Heard) -> Option<News> {
        match heard {
            Heard::Timer { kind, late } => {
                self.once += u64::from(kind == "after");
                self.rows[TIMER].called(Some(late), format!("timer.{kind}"));
                None
            }
            Heard::Signal { at, name } => self.signal(at, name),
            Heard::File { at, kind, name, content } => self.file(at, &kind, &name, &content),
            Heard::Request { at, line, sent } => {
                self.rows[HTTPD].called(sent.map(|sent| at - sent), line);
                None
            }
            Heard::Library { last, counts } => {
                if let Some(index) = LIBRARIES.iter().position(|name| *name == counts.name) {
                    self.rows[index].counts = counts;
                    self.rows[index].closed = last;
                }
                None
            }
            Heard::Armed(count) => {
                self.armed = count;
                None
            }
            Heard::Stopped(left) => {
                self.left = Some(left);
                None
            }
            Heard::Error(message) => {
                self.wrong.push(format!("A callback raised an error: {message}"));
                None
            }
        }
    }

    /// Counts what was done outside.
    pub(crate) fn done(&mut self, done: Done) {
        self.asked += u64::from(matches!(done, Done::Asked(_)));
        match done {
            Done::Wrote(number) => self.files.entry(number).or_default().written = true,
            Done::Asked(Ok(())) => self.answered += 1,
            Done::Ended(Ok(())) => self.ended = true,
            Done::Asked(Err(sentence)) | Done::Ended(Err(sentence)) | Done::Failed(sentence) => {
                self.failed.push(sentence);
            }
            Done::Killed(at) => {
                self.signals.sent += 1;
                self.signals.sent_at.push_back(at);
                self.pair_signals();
            }
            Done::Part => {}
        }
    }

    fn signal(&mut self, at: f64, name: String) -> Option<News> {
        let counted = name == "SIGTERM";
        self.rows[LUAEXIT].called(None, name);
        counted.then(|| {
            self.signals.heard_at.push_back(at);
            self.pair_signals();
            News::Signal
        })
    }

    /// Lua may be heard of a signal before the thread that sent it is.
    fn pair_signals(&mut self) {
        let Signals { sent_at, heard_at, .. } = &mut self.signals;
        let pairs = sent_at.len().min(heard_at.len());
        for (sent, heard) in sent_at.drain(..pairs).zip(heard_at.drain(..pairs)) {
            self.rows[LUAEXIT].times.add(heard - sent);
        }
    }

    fn file(&mut self, at: f64, kind: &str, name: &str, content: &str) -> Option<News> {
        let row = &mut self.rows[FSWATCH];
        row.called(None, format!("{kind} {name}"));
        let number = outside::file_number(name)?;
        let fate = self.files.entry(number).or_default();
        match kind {
            "create" => fate.created = true,
            "remove" => fate.removed = true,
            _ => {
                let sent = outside::written_at(number, content)?;
                if !fate.read {
                    fate.read = true;
                    row.times.add(at - sent);
                }
                return Some(News::Read(number));
            }
        }
        None
    }

    /// Whether all that was done outside has arrived in Lua, while it runs.
    pub(crate) fn all_arrived(&self) -> bool {
        self.signals.sent_at.is_empty()
            && self.files.values().all(|file| file.created && file.read && file.removed)
    }

    /// Whether the script came to its end, and said what DSS counted.
    pub(crate) fn is_complete(&self) -> bool {
        self.left.is_some()
    }

    /// What went wrong or is missing after the end; `tour` says that the outside world was the demo's own, and had its
    /// time: a request that a stopping server does not take is nobody's failure.
    pub(crate) fn failures(&self, tour: bool) -> Vec<String> {
        let mut failures = self.wrong.clone();
        if tour {
            failures.extend_from_slice(&self.failed);
        }
        let Some(left) = self.left else {
            // All else that is missing follows from that.
            failures.push("The script did not come to its end.".to_owned());
            return failures;
        };
        let mut check = |holds: bool, sentence: String| {
            if !holds {
                failures.push(sentence);
            }
        };
        check(left == 0, format!("{left} libraries were still registered after their stop."));
        for (name, row) in LIBRARIES.iter().zip(&self.rows) {
            check(row.closed, format!("{name} was not among the libraries at the end."));
        }
        if tour {
            let timer = self.rows[TIMER].callbacks;
            check(timer > self.once, "timer.every did not fire.".to_owned());
            check(
                self.once == self.armed,
                format!("{} timers were set to fire once, and {} did.", self.armed, self.once),
            );
            let lost = self.signals.sent_at.len();
            check(lost == 0, format!("{lost} of {} signals did not arrive in Lua.", self.signals.sent));
            self.check_files(&mut check);
            self.check_requests(&mut check);
            // A timer's delivery may be without a callback: one that was cancelled after it had fired.
            for library in [LUAEXIT, FSWATCH, HTTPD] {
                let Row { counts, callbacks, .. } = &self.rows[library];
                let (name, delivered) = (LIBRARIES[library], counts.delivered);
                let sentence =
                    format!("DSS counts {delivered} deliveries of {name}, and Lua {callbacks} callbacks.");
                check(delivered == *callbacks, sentence);
            }
        }
        failures
    }

    fn check_files(&self, check: &mut impl FnMut(bool, String)) {
        for (number, file) in &self.files {
            let Fate { written, created, read, removed } = *file;
            let missing = [(created, "made"), (read, "written"), (removed, "removed")]
                .into_iter()
                .filter(|(seen, _)| !seen)
                .map(|(_, what)| what)
                .collect::<Vec<_>>();
            check(
                !written || missing.is_empty(),
                format!("Lua was not told that file {number} was {}.", missing.join(" and ")),
            );
        }
    }

    fn check_requests(&self, check: &mut impl FnMut(bool, String)) {
        // The one that nobody answers is a callback, too.
        let heard = self.rows[HTTPD].callbacks;
        let asked = self.asked + 1;
        check(heard == asked, format!("{asked} HTTP requests were made, and Lua was asked {heard}."));
        check(self.ended, "The HTTP request in flight was not ended by the stop of its server.".to_owned());
    }

    /// What happened in all, and arrived.
    pub(crate) fn story(&self) -> String {
        format!(
            "{} timers fired. {} times SIGTERM was sent, and SIGINT once, which ended it.\n\
             {} files were made, written, read from Lua and removed. {} HTTP requests got\n\
             the answer that Lua computed, and the one in flight at the stop was told that\n\
             the server is shutting down. Every callback arrived.\n",
            self.rows[TIMER].callbacks,
            self.signals.sent,
            self.files.len(),
            self.answered
        )
    }

    /// All callbacks so far.
    pub(crate) fn callbacks(&self) -> u64 {
        self.rows.iter().map(|row| row.callbacks).sum()
    }
}

impl Row {
    fn called(&mut self, time: Option<f64>, last: String) {
        self.callbacks += 1;
        self.last = last;
        time.into_iter().for_each(|time| self.times.add(time));
    }
}
