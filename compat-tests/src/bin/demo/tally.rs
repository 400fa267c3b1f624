//! Counts what was done outside and what arrived in Lua, and finds what is missing.

use std::collections::{BTreeMap, VecDeque};

use crate::outside::{self, Asked, Done};
use crate::script::{Counts, Heard};
use crate::times::Times;

/// A library: its name and its revision.
pub(crate) struct Library {
    pub(crate) name: &'static str,
    pub(crate) revision: &'static str,
}

/// The number of libraries.
pub(crate) const COUNT: usize = 7;

/// The libraries, grouped by revision.
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
/// The indices of the library for v1 and of the one for v2.
const FSWATCH: [usize; 2] = [2, 4];
const HTTPD: [usize; 2] = [3, 5];
const SQLITE: usize = 6;

/// The row of one library in the table.
#[derive(Default)]
pub(crate) struct Row {
    /// The number of callbacks that ran in Lua.
    pub(crate) callbacks: u64,
    /// The time that each callback took to arrive.
    pub(crate) times: Times,
    /// A description of the last callback.
    pub(crate) last: String,
    /// The counts of DSS.
    pub(crate) counts: Counts,
    /// Whether `counts` are the final ones, from just before the stop.
    pub(crate) closed: bool,
}

/// A file that was written.
#[derive(Default)]
struct File {
    written: bool,
    /// The events that Lua got for it, from v1 and from v2.
    fates: [Fate; 2],
}

#[derive(Clone, Copy, Default)]
struct Fate {
    created: bool,
    read: bool,
    removed: bool,
}

/// The results of the requests of one kind.
#[derive(Default)]
struct Requests {
    /// The number that ended.
    asked: u64,
    /// The number that got the right answer.
    answered: u64,
}

/// The work of the database.
#[derive(Default)]
struct Database {
    inserted: u64,
    selected: u64,
    /// How often it called Lua.
    called: u64,
    /// The number of rows at the end, and the sum of their values.
    end: Option<(u64, u64)>,
}

/// All counts of the demo.
#[derive(Default)]
pub(crate) struct Tally {
    /// For each library, in the order of [`LIBRARIES`].
    pub(crate) rows: [Row; COUNT],
    files: BTreeMap<u32, File>,
    /// For each kind of [`Asked`].
    requests: [Requests; 4],
    /// The number of replies that came after the deadline and were refused.
    late: u64,
    /// Whether the request that Lua never answers ended when its server stopped.
    ended: bool,
    database: Database,
    signals: Signals,
    once: u64,
    armed: u64,
    left: Option<u64>,
    /// What went wrong in Lua, one sentence each.
    wrong: Vec<String>,
    /// What went wrong outside.
    failed: Vec<String>,
}

/// Signals that were sent and received. Each is sent after the last has arrived, so the two lists match in order.
#[derive(Default)]
struct Signals {
    sent: u64,
    sent_at: VecDeque<f64>,
    heard_at: VecDeque<f64>,
}

/// News from Lua that the outside world reacts to.
pub(crate) enum News {
    /// Lua has received a SIGTERM.
    Signal,
    /// Lua has read this file, through both v1 and v2.
    Read(u32),
    /// Lua has the request whose client disconnects early.
    Held,
}

impl Tally {
    /// Counts a line of Lua's output.
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

    /// Counts an event of the outside world.
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

    /// Matches sent and received signals. Lua's line may arrive before the event of the thread that sent the signal.
    fn pair_signals(&mut self) {
        let Signals { sent_at, heard_at, .. } = &mut self.signals;
        let pairs = sent_at.len().min(heard_at.len());
        for (sent, heard) in sent_at.drain(..pairs).zip(heard_at.drain(..pairs)) {
            self.rows[LUAEXIT].times.add(heard - sent);
        }
    }

    /// Counts a file event. `by` is the index of v1 or v2.
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

    /// Whether everything that was done outside has arrived in Lua, and the database has finished.
    pub(crate) fn all_arrived(&self) -> bool {
        let arrived = |fate: &Fate| fate.created && fate.read && fate.removed;
        self.signals.sent_at.is_empty()
            && self.files.values().all(|file| file.fates.iter().all(arrived))
            && self.late >= self.requests[Asked::Slow as usize].asked
            && self.database.end.is_some()
    }

    /// Whether the script reached its end and printed the counts of DSS.
    pub(crate) fn is_complete(&self) -> bool {
        self.left.is_some()
    }

    /// What went wrong or is missing after the end. `tour` says that the demo made all events itself and was not ended early.
    /// Otherwise a request may fail because its server was stopping, which is not a failure of the demo.
    pub(crate) fn failures(&self, tour: bool) -> Vec<String> {
        let mut failures = self.wrong.clone();
        if tour {
            failures.extend_from_slice(&self.failed);
        }
        let Some(left) = self.left else {
            // Everything else that is missing follows from this.
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
            // The timer library is skipped: a timer that is cancelled after it fired has a delivery but no callback.
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
            // The request that is never answered also has a callback.
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
        // One query for each row, one for their sum, and one for each HTTP request.
        let queries = rows + 1 + asked;
        check(
            selected == queries,
            format!("{queries} queries were to be made, and Lua was told of {selected}."),
        );
        // Lua is called back for each row and for each HTTP request.
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

    /// A summary of everything that arrived.
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

    /// The number of callbacks so far.
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
