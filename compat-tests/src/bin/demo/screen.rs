//! What the user sees: a live table on a terminal, lines elsewhere, and the summary.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::script::Counts;
use crate::tally::{COUNT, LIBRARIES, Library, Row, Tally};
use crate::times::human;

const TABLE: Duration = Duration::from_millis(100);
const LINES: Duration = Duration::from_secs(1);

/// The start of the times of each library.
const SINCE: [&str; COUNT] = ["due time", "kill()", "write()", "request", "write()", "request", DELIVER];
/// The start if nothing outside causes the delivery. DSS measures these times.
const DELIVER: &str = "deliver";

/// The screen: stdout.
pub(crate) struct Screen {
    live: bool,
    colours: bool,
    started: Instant,
    drawn: Option<Instant>,
    /// The number of lines of the table above the cursor.
    height: usize,
}

impl Screen {
    /// Makes a screen. With `plain` it prints lines instead of a live table.
    pub(crate) fn new(plain: bool) -> Screen {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let terminal = io::stdout().is_terminal() && !dumb;
        let coloured = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Screen {
            // The table has to fit, or its top cannot be drawn again.
            live: terminal && !plain && size().is_some_and(|(_, height)| height > COUNT + 3),
            colours: terminal && coloured,
            started: Instant::now(),
            drawn: None,
            height: 0,
        }
    }

    /// Starts the clock of the table.
    pub(crate) fn start(&mut self) {
        self.started = Instant::now();
        if self.live {
            emit("\x1b[?25l");
        }
    }

    /// Prints a line that the next one replaces. Does nothing if the screen is not a live terminal.
    pub(crate) fn passing(&self, text: &str) {
        if self.live {
            emit(&format!("\r\x1b[2K{text}"));
        }
    }

    /// Draws the current state, if it is time to.
    pub(crate) fn draw(&mut self, tally: &Tally) {
        let pause = if self.live { TABLE } else { LINES };
        if self.drawn.unwrap_or(self.started).elapsed() < pause {
            return;
        }
        self.drawn = Some(Instant::now());
        if self.live {
            self.table(tally);
        } else {
            let mut text = format!("{:>3} s:", self.started.elapsed().as_secs());
            let mut of = "";
            for (Library { name, revision }, row) in LIBRARIES.iter().zip(&tally.rows) {
                match (of, *revision) {
                    (before, now) if before == now => text.push(','),
                    ("", now) => text.push_str(&format!(" {now}")),
                    (_, now) => text.push_str(&format!("; {now}")),
                }
                of = revision;
                text.push_str(&format!(" {name} {}", row.callbacks));
            }
            emit(&format!("{text}\n"));
        }
    }

    fn table(&mut self, tally: &Tally) {
        let head = ["library", "revision", "callbacks", "replies", "waiting", "p50", "p99", "last"];
        let rows = LIBRARIES.iter().zip(&tally.rows).zip(SINCE).map(|((library, row), since)| {
            let Row { callbacks, last, counts, .. } = row;
            let [p50, p99] = times(row, since);
            vec![
                library.name.to_owned(),
                counts.revision.clone(),
                callbacks.to_string(),
                counts.replied.to_string(),
                counts.waiting.to_string(),
                p50,
                p99,
                last.clone(),
            ]
        });
        let mut lines = align(&head, rows);
        let seconds = self.started.elapsed().as_secs_f64();
        lines.push(format!("{seconds:.1} s, {} callbacks in one Lua state", tally.callbacks()));
        let width = size().map_or(80, |(width, _)| width);
        let mut text = String::new();
        if self.height > 0 {
            text.push_str(&format!("\x1b[{}A", self.height));
        }
        for (number, line) in lines.iter().enumerate() {
            // A line that wraps would take two lines, and the table would move up.
            let line: String = line.chars().take(width).collect();
            text.push_str(&format!("\r\x1b[2K{}\n", self.bold(&line, number == 0)));
        }
        self.height = lines.len();
        emit(&text);
    }

    /// Ends the live table, which stays on the screen, and prints the summary.
    pub(crate) fn summary(&mut self, tally: &Tally, uncertainty: f64) {
        self.finish(tally);
        let head =
            ["library", "revision", "deliveries", "replies", "cancelled", "late", "p50", "p99", "since"];
        let rows = LIBRARIES.iter().zip(&tally.rows).zip(SINCE).map(|((library, row), since)| {
            let Counts { queued, waiting, cancelled, late, .. } = row.counts;
            let [p50, p99] = times(row, since);
            vec![
                library.name.to_owned(),
                row.counts.revision.clone(),
                row.counts.delivered.to_string(),
                row.counts.replied.to_string(),
                // The stop cancels everything that is queued or still waits for a reply.
                (cancelled + queued + waiting).to_string(),
                late.to_string(),
                p50,
                p99,
                since.to_owned(),
            ]
        });
        let mut text = String::from("\n");
        for (number, line) in align(&head, rows).iter().enumerate() {
            text.push_str(&self.bold(line, number == 0));
            text.push('\n');
        }
        text.push_str(&format!(
            "\nRevision, deliveries and replies are DSS's own counts, from just before the\n\
             libraries were stopped; cancelled is what still waited for a reply then, or was\n\
             taken back; late is what had no answer at its deadline, which v2 alone has. The\n\
             times run to the callback in Lua, and begin outside of DSS: when a timer is due,\n\
             at kill(), at the write() to a file, when a client sends its request. They hold\n\
             the system's part and the library's own thread, too; DSS alone is measured by\n\
             `cargo bench -p compat-tests`. All but timer's and sqlite's take two processes'\n\
             clocks, known to {:.0} µs. sqlite's are from the histogram that DSS keeps for\n\
             v2: from deliver to decode, in steps that double.\n",
            (uncertainty * 1e6).ceil()
        ));
        let unknown = |(row, since): (&Row, &str)| times(row, since).iter().any(|time| time == NO_TIME);
        if tally.rows.iter().zip(SINCE).any(unknown) {
            text.push_str("A dash means that the demo sent nothing: only its own events have a time.\n");
        }
        emit(&text);
    }

    /// Ends the live table, which stays on the screen.
    pub(crate) fn finish(&mut self, tally: &Tally) {
        if self.live {
            self.table(tally);
            self.live = false;
            emit("\x1b[?25h");
        }
    }

    fn bold(&self, text: &str, really: bool) -> String {
        if really && self.colours { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.live {
            emit("\x1b[?25h");
        }
    }
}

/// Printed instead of a time that is not known.
const NO_TIME: &str = "-";

/// The 50th and the 99th percentile of a library's times.
fn times(row: &Row, since: &str) -> [String; 2] {
    if since == DELIVER {
        let waited = row.counts.waited;
        return waited
            .map_or([NO_TIME; 2].map(str::to_owned), |times| times.map(|time| format!("≤{}", human(time))));
    }
    [50, 99].map(|percent| row.times.percentile(percent).map_or(NO_TIME.to_owned(), human))
}

/// Aligns the fields of lines. Numbers and times are aligned to the right.
fn align(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let head = head.iter().map(|title| (*title).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let fields = row.iter().zip(&widths).enumerate().map(|(column, (field, &width))| match column {
            0 | 1 => format!("{field:<width$}"),
            last if last == widths.len() - 1 => field.clone(),
            _ => format!("{field:>width$}"),
        });
        fields.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Writes to stdout. Ignores errors, so that the demo finishes even if nobody reads its output any more.
pub(crate) fn emit(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// The number of columns and lines of the terminal.
fn size() -> Option<(usize, usize)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the call writes the record, which outlives it.
    let status = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    (status == 0 && size.ws_col > 0).then_some((size.ws_col.into(), size.ws_row.into()))
}
