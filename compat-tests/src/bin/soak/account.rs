//! What a phase has printed, and what is not as it must be.

/// How much a phase's memory in use may grow between a tenth of the time and the end. `docs/src/inside/tests.md` has measurements.
pub(crate) const BOUND_USED: i64 = 1024 * 1024;
/// How much the resident memory of a phase may grow, when `malloc` has given back what it can.
pub(crate) const BOUND_RESIDENT: i64 = 4 * 1024 * 1024;

/// The memory of a phase's process at one time, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Handed out by `malloc` and not freed. `None` if this is not known.
    pub(crate) used: Option<u64>,
    /// Resident.
    pub(crate) resident: u64,
    /// Resident after `malloc_trim`.
    pub(crate) trimmed: u64,
}

/// What a phase has said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) phase: &'static str,
    pub(crate) rounds: u64,
    pub(crate) items: u64,
    pub(crate) first: Option<Memory>,
    pub(crate) last: Option<Memory>,
    /// Counts by name, in the phase's order.
    pub(crate) counts: Vec<(String, u64)>,
    faults: Vec<String>,
    over: bool,
}

impl Account {
    pub(crate) fn new(phase: &'static str) -> Account {
        Account { phase, ..Account::default() }
    }

    /// Takes a line that the phase printed. `compat-tests/soak/soak.lua` lists them.
    pub(crate) fn hear(&mut self, line: &str) {
        let heard = match line.split('\t').collect::<Vec<_>>()[..] {
            ["progress", rounds, items] => self.hear_progress(rounds, items),
            ["memory", when, used, resident, trimmed] => self.hear_memory(when, [used, resident, trimmed]),
            ["count", name, number] => number.parse().ok().map(|number| {
                match name {
                    "rounds" => self.rounds = number,
                    "delivered" => self.items = number,
                    _ => {}
                }
                self.counts.push((name.to_owned(), number));
            }),
            ["fault", sentence] => {
                self.add_fault(sentence.to_owned());
                Some(())
            }
            ["over"] => {
                self.over = true;
                Some(())
            }
            _ => None,
        };
        if heard.is_none() {
            self.add_fault(format!("it printed {line:?}"));
        }
    }

    /// Takes a line of its stderr, where nothing should be.
    pub(crate) fn hear_stderr(&mut self, line: &str) {
        self.add_fault(format!("it printed on stderr: {line}"));
    }

    fn hear_progress(&mut self, rounds: &str, items: &str) -> Option<()> {
        self.rounds = rounds.parse().ok()?;
        self.items = items.parse().ok()?;
        Some(())
    }

    fn hear_memory(&mut self, when: &str, figures: [&str; 3]) -> Option<()> {
        let [used, resident, trimmed] = figures;
        let memory = Memory {
            used: used.parse().ok(),
            resident: resident.parse().ok()?,
            trimmed: trimmed.parse().ok()?,
        };
        match when {
            "first" => self.first = Some(memory),
            "last" => self.last = Some(memory),
            _ => return None,
        }
        Some(())
    }

    pub(crate) fn add_fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// By how much the memory in use and the resident memory have grown.
    pub(crate) fn growth(&self) -> Option<(Option<i64>, i64)> {
        let (first, last) = (self.first?, self.last?);
        let used = first.used.zip(last.used).map(|(first, last)| grown(first, last));
        Some((used, grown(first.trimmed, last.trimmed)))
    }

    /// What is not as it must be: a sentence each.
    pub(crate) fn faults(&self, early: bool) -> Vec<String> {
        let mut faults = self.faults.clone();
        if !self.over && faults.is_empty() {
            faults.push("it ended before its last line".to_owned());
        }
        if self.over && self.items == 0 {
            faults.push("nothing was delivered".to_owned());
        }
        match self.growth() {
            Some((used, resident)) => {
                if let Some(used) = used.filter(|used| *used > BOUND_USED) {
                    faults.push(format!(
                        "its memory in use grew by {} KB; up to {} KB is allowed",
                        used / 1024,
                        BOUND_USED / 1024
                    ));
                }
                if resident > BOUND_RESIDENT {
                    faults.push(format!(
                        "its resident memory grew by {} KB; up to {} KB is allowed",
                        resident / 1024,
                        BOUND_RESIDENT / 1024
                    ));
                }
            }
            None if self.over && !early => faults.push("it did not measure its memory twice".to_owned()),
            None => {}
        }
        faults.into_iter().map(|fault| format!("{}: {fault}.", self.phase)).collect()
    }
}

/// The difference of two sizes in bytes.
fn grown(first: u64, last: u64) -> i64 {
    last.cast_signed() - first.cast_signed()
}
