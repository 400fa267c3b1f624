//! What was done outside, what arrived in Lua, and what is missing between the two.

use std::collections::{BTreeMap, VecDeque};

use crate::outside::{self, Asked, Done};
use crate::script::{Counts, Heard};
use crate::times::Times;

/// A library: its name, and the revision that it is written for.
pub(crate) struct Library {
    pub(crate) name: &'static str,
    pub(crate) revision: &'static str,
}

/// How many libraries there are.
pub(crate) const COUNT: usize = 7;

/// The libraries, those of each revision together.
pub(crate) const LIBRARIES: [Library; COUNT] = [
    Library { name: "timer", revision: "c1v0" },
    Library { name: "luaexit", revision: "v1" },
    Library { name: "fswatch", revision: "v1" },
    Library { name: "httpd", revision: "v1" },
    Library { name: "fswatch", revision: "v2" },
    Library { name: "httpd", revision: "v2" },
    Library { name: "sqlite", revision: "v2" },
];
const TIMER: usize = 0;
const LUAEXIT: usize = 1;
/// The same library for v1 and for v2.
const FSWATCH: [usize; 2] = [2, 4];
const HTTPD: [usize; 2] = [3, 5];
const SQLITE: usize = 6;

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

/// A file that was written.
#[derive(Default)]
struct File {
    written: bool,
    /// What Lua was told of it, by v1 and by v2.
    fates: [Fate; 2],
}

#[derive(Clone, Copy, Default)]
struct Fate {
    created: bool,
    read: bool,
    removed: bool,
}

/// What came of some requests.
#[derive(Default)]
struct Requests {
    /// They came to their end.
    asked: u64,
    /// With the right answer.
    answered: u64,
}

/// What the database did.
#[derive(Default)]
struct Database {
    inserted: u64,
    selected: u64,
    /// It called Lua so often.
    called: u64,
    /// How many rows it had in the end, and the sum of their values.
    end: Option<(u64, u64)>,
}

/// All that is counted.
#[derive(Default)]
pub(crate) struct Tally {
    /// By library, as in [`LIBRARIES`].
    pub(crate) rows: [Row; COUNT],
    files: BTreeMap<u32, File>,
    /// By [`Asked`].
    requests: [Requests; 4],
    /// Replies that came after the deadline, and were refused.
    late: u64,
    /// The request that Lua never answers was ended by the stop of its server.
    ended: bool,
    database: Database,
    signals: Signals,
    once: u64,
    armed: u64,
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
    /// Lua has read this file, by v1 and by v2.
    Read(u32),
    /// Lua has the request whose client leaves.
    Held,
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
            Heard::File { revision, at, kind, name, content } => {
                self.file(by(&revision), at, &kind, &name, &content)
            }
            Heard::Request { revision, at, line, sent } => {
                let held = revision == "v2" && line == outside::NEVER;
                self.rows[HTTPD[by(&revision)]].called(sent.map(|sent| at - sent), line);
                held.then_some(News::Held)
            }
            Heard::Late { in_time } => {
                self.late += u64::from(!in_time);
                if in_time {
                    self.wrong.push("A reply after its deadline was taken.".to_owned());
                }
                None
            }
            Heard::Sql { kind, what } => {
                match &*kind {
                    "insert" => self.database.inserted += 1,
                    "select" => self.database.selected += 1,
                    "function" => self.database.called += 1,
                    _ => {}
                }
                self.rows[SQLITE]
                    .called(None, if kind == "function" { what } else { format!("{kind} {what}") });
                None
            }
            Heard::Database { rows, sum } => {
                self.database.end = Some((rows, sum));
                None
            }
            Heard::Library { last, counts } => {
                let entry = LIBRARIES
                    .iter()
                    .position(|known| known.name == counts.name && known.revision == counts.revision);
                if let Some(index) = entry {
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
        if let Done::Asked(asked, result) = &done {
            let requests = &mut self.requests[*asked as usize];
            requests.asked += 1;
            requests.answered += u64::from(result.is_ok());
        }
        match done {
            Done::Wrote(number) => self.files.entry(number).or_default().written = true,
            Done::Ended(Ok(())) => self.ended = true,
            Done::Asked(_, Err(sentence)) | Done::Ended(Err(sentence)) | Done::Failed(sentence) => {
                self.failed.push(sentence);
            }
            Done::Killed(at) => {
                self.signals.sent += 1;
                self.signals.sent_at.push_back(at);
                self.pair_signals();
            }
            Done::Asked(_, Ok(())) | Done::Part => {}
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

    /// By v1 or v2, as an index.
    fn file(&mut self, by: usize, at: f64, kind: &str, name: &str, content: &str) -> Option<News> {
        let row = &mut self.rows[FSWATCH[by]];
        row.called(None, format!("{kind} {name}"));
        let number = outside::file_number(name)?;
        let File { fates, .. } = self.files.entry(number).or_default();
        let fate = &mut fates[by];
        match kind {
            "create" => fate.created = true,
            "remove" => fate.removed = true,
            _ => {
                let sent = outside::written_at(number, content)?;
                if !fate.read {
                    fate.read = true;
                    row.times.add(at - sent);
                }
                return fates.iter().all(|fate| fate.read).then_some(News::Read(number));
            }
        }
        None
    }

    /// Whether all that was done outside has arrived in Lua, while it runs, and the database has done what it was to do.
    pub(crate) fn all_arrived(&self) -> bool {
        let arrived = |fate: &Fate| fate.created && fate.read && fate.removed;
        self.signals.sent_at.is_empty()
            && self.files.values().all(|file| file.fates.iter().all(arrived))
            && self.late >= self.requests[Asked::Slow as usize].asked
            && self.database.end.is_some()
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
        for (library, row) in LIBRARIES.iter().zip(&self.rows) {
            let Library { name, revision } = library;
            check(row.closed, format!("{name} ({revision}) was not among the libraries at the end."));
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
            self.check_database(&mut check);
            // A timer's delivery may be without a callback: one that was cancelled after it had fired.
            for (Library { name, revision }, row) in LIBRARIES.iter().zip(&self.rows).skip(TIMER + 1) {
                let Row { counts: Counts { delivered, .. }, callbacks, .. } = row;
                let sentence = format!(
                    "DSS counts {delivered} deliveries of {name} ({revision}), and Lua {callbacks} callbacks."
                );
                check(delivered == callbacks, sentence);
            }
        }
        failures
    }

    fn check_files(&self, check: &mut impl FnMut(bool, String)) {
        for ((number, File { written, fates }), index) in
            self.files.iter().flat_map(|file| [(file, 0), (file, 1)])
        {
            let Fate { created, read, removed } = fates[index];
            let missing = [(created, "made"), (read, "written"), (removed, "removed")]
                .into_iter()
                .filter(|(seen, _)| !seen)
                .map(|(_, what)| what)
                .collect::<Vec<_>>();
            let (what, revision) = (missing.join(" and "), LIBRARIES[FSWATCH[index]].revision);
            check(
                !written || missing.is_empty(),
                format!("Lua was not told by {revision} that file {number} was {what}."),
            );
        }
    }

    fn check_requests(&self, check: &mut impl FnMut(bool, String)) {
        let asked = |kind: Asked| self.requests[kind as usize].asked;
        let new = asked(Asked::V2) + asked(Asked::Sql);
        let by_server = [asked(Asked::V1), new + asked(Asked::Slow)];
        for (library, asked) in HTTPD.into_iter().zip(by_server) {
            let revision = LIBRARIES[library].revision;
            // The one that nobody answers is a callback, too.
            let (heard, asked) = (self.rows[library].callbacks, asked + 1);
            check(
                heard == asked,
                format!("{asked} HTTP requests were made of {revision}, and Lua was asked {heard}."),
            );
        }
        check(self.ended, "The HTTP request in flight was not ended by the stop of its server.".to_owned());
        let (Counts { replied, cancelled, late, .. }, slow) =
            (&self.rows[HTTPD[1]].counts, asked(Asked::Slow));
        check(*replied == new, format!("{new} HTTP requests of v2 were answered, and DSS counts {replied}."));
        check(
            *cancelled == 1,
            format!("One client of v2 left, and DSS counts {cancelled} requests cancelled."),
        );
        check(
            *late == slow && self.late == slow,
            format!("{slow} HTTP requests of v2 took too long; DSS counts {late}, and Lua {}.", self.late),
        );
    }

    fn check_database(&self, check: &mut impl FnMut(bool, String)) {
        let Database { inserted, selected, called, end } = self.database;
        let (rows, asked) = (outside::ROWS, self.requests[Asked::Sql as usize].asked);
        check(inserted == rows, format!("{rows} rows were to be inserted, and Lua was told of {inserted}."));
        // Each row, all together, and what was asked by HTTP.
        let queries = rows + 1 + asked;
        check(
            selected == queries,
            format!("{queries} queries were to be made, and Lua was told of {selected}."),
        );
        // For each row, and for what was asked by HTTP.
        let (calls, replied) = (rows + asked, self.rows[SQLITE].counts.replied);
        check(
            called == calls && replied == calls,
            format!(
                "The database was to call Lua {calls} times; Lua counts {called}, and DSS {replied} answers."
            ),
        );
        let wanted = (rows, outside::sum_of_rows());
        check(
            end == Some(wanted),
            format!("The database should have {wanted:?}, its rows and their sum, and has {end:?}."),
        );
    }

    /// What happened in all, and arrived.
    pub(crate) fn story(&self) -> String {
        let [old, new, sql, slow] = self.requests.each_ref().map(|requests| requests.answered);
        let Database { inserted, selected, called, .. } = self.database;
        format!(
            "{} timers fired. {} times SIGTERM was sent, and SIGINT once, which ended it.\n\
             {} files were made, written, read from Lua by v1 and by v2, and removed.\n\
             {} HTTP requests got the answer that Lua computed, and the one in flight at\n\
             the stop was told that the server is shutting down. {slow} that Lua was too slow for\n\
             got a 503 at their deadline, while the same server answered the others; one\n\
             whose client left was cancelled. SQLite inserted {inserted} rows and answered {selected}\n\
             queries, and called a function in Lua {called} times. Every callback arrived.\n",
            self.rows[TIMER].callbacks,
            self.signals.sent,
            self.files.len(),
            old + new + sql
        )
    }

    /// All callbacks so far.
    pub(crate) fn callbacks(&self) -> u64 {
        self.rows.iter().map(|row| row.callbacks).sum()
    }
}

/// The index of v1 or v2.
fn by(revision: &str) -> usize {
    usize::from(revision == "v2")
}

impl Row {
    fn called(&mut self, time: Option<f64>, last: String) {
        self.callbacks += 1;
        self.last = last;
        time.into_iter().for_each(|time| self.times.add(time));
    }
}
