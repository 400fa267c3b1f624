//! What was injected, and what came of it.

use std::collections::BTreeMap;
use std::fmt;

use compat_tests::run::Ended;

use crate::operations::{self, Kind, Operation};

/// How an injection ended badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The process was ended by a signal.
    Abort,
    /// It did not end.
    Hang,
    /// A check of the operation failed: something was lost, or said something else.
    Loss,
}

/// A bad end, and its first words.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    ending: Ending,
    said: String,
}

impl Fault {
    pub(crate) fn of(ended: &Ended) -> Self {
        let ending = match ended.status {
            None => Ending::Hang,
            Some(status) if status.code().is_none() => Ending::Abort,
            Some(_) => Ending::Loss,
        };
        // What DSS reports of callbacks comes before the reason.
        let lines = || ended.stderr.lines();
        let reason = lines().find(|line| line.starts_with("lua-host: ")).or_else(|| lines().last());
        Fault { ending, said: reason.unwrap_or_default().to_owned() }
    }
}

/// The figures of one operation.
#[derive(Clone, Copy, Default)]
struct Figures {
    module: usize,
    lua: usize,
    both: usize,
    endings: [usize; 3],
}

/// The account of one Lua.
#[derive(Default)]
pub(crate) struct Account {
    figures: BTreeMap<String, Figures>,
    /// Faults by what they have in common, with the numbers of the allocations.
    faults: BTreeMap<String, Vec<usize>>,
}

impl Account {
    pub(crate) fn add(&mut self, operation: &Operation, kind: Kind, tried: usize) {
        let figures = self.figures.entry(operation.title()).or_default();
        match kind {
            Kind::Module | Kind::Fresh => figures.module += tried,
            Kind::Lua => figures.lua += tried,
            Kind::Both => figures.both += tried,
        }
    }

    pub(crate) fn note(&mut self, operation: &Operation, kind: &str, how: &str, at: usize, fault: Fault) {
        let title = operation.title();
        self.figures.entry(title.clone()).or_default().endings[fault.ending as usize] += 1;
        let what = format!("{title}, {kind} {how}: {:?}: {}", fault.ending, fault.said);
        self.faults.entry(what).or_default().push(at);
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// Whether some allocation of each side failed in every operation that always makes some.
    pub(crate) fn covers_all(&self) -> bool {
        let some = |title: &str| self.figures.get(title).is_some_and(|it| it.module > 0 && it.lua > 0);
        operations::all().count() == self.figures.len()
            && ["v2.deliver", "c2v0.deliver", "module.load_v2", "module.stats", "v2.call"]
                .into_iter()
                .all(some)
    }

    pub(crate) fn faults(&self) -> String {
        self.faults.iter().map(|(fault, at)| format!("{fault}; at {at:?}\n")).collect()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |title: &str, it: &Figures| {
            let Figures { module, lua, both, endings: [aborts, hangs, losses] } = it;
            writeln!(
                f,
                "{title:<32} module {module:>5}  lua {lua:>6}  both {both:>6}  aborts {aborts}  hangs {hangs}  losses {losses}"
            )
        };
        let mut total = Figures::default();
        for (title, it) in &self.figures {
            line(title, it)?;
            total.module += it.module;
            total.lua += it.lua;
            total.both += it.both;
            total.endings.iter_mut().zip(it.endings).for_each(|(sum, count)| *sum += count);
        }
        line("total", &total)
    }
}
