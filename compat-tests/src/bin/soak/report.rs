//! What the user reads.

use crate::account::{Account, BOUND_RESIDENT, BOUND_USED, Memory};
use crate::child::Child;

/// The callbacks of each phase so far.
pub(crate) fn progress(seconds: u64, children: &[Child]) -> String {
    let counts =
        children.iter().map(|child| child.so_far(|account| format!("{} {}", account.phase, account.items)));
    format!("{seconds:>4} s: {}", counts.collect::<Vec<_>>().join(", "))
}

/// The table of memory, and below it the counts of each phase.
pub(crate) fn summary(accounts: &[Account]) -> String {
    let mut text = format!(
        "{:10}  {:>8}  {:>11}  {:>17}  {:>8}  {:>17}  {:>8}  {:>17}\n",
        "phase", "rounds", "callbacks", "in use, KB", "growth", "trimmed, KB", "growth", "resident, KB"
    );
    for account in accounts {
        let Account { phase, rounds, items, first, last, .. } = account;
        let pair = |look: fn(&Memory) -> Option<u64>| {
            let one = |memory: &Option<Memory>| {
                memory.as_ref().and_then(look).map_or("?".to_owned(), |bytes| (bytes / 1024).to_string())
            };
            format!("{} -> {}", one(first), one(last))
        };
        let growth = account.growth();
        let difference =
            |bytes: Option<i64>| bytes.map_or("?".to_owned(), |bytes| format!("{:+}", bytes / 1024));
        text += &format!(
            "{phase:10}  {rounds:>8}  {items:>11}  {:>17}  {:>8}  {:>17}  {:>8}  {:>17}\n",
            pair(|memory| memory.used),
            difference(growth.and_then(|(used, _)| used)),
            pair(|memory| Some(memory.trimmed)),
            difference(growth.map(|(_, resident)| resident)),
            pair(|memory| Some(memory.resident)),
        );
    }
    text += &format!(
        "\n\
         Memory is measured after a tenth of the time and at the end. In use is what\n\
         malloc has handed out, after a collection; it may grow by {} KB. Resident is what\n\
         the process has, and trimmed is the same after malloc has given back what is\n\
         free; it may grow by {} KB.\n\n",
        BOUND_USED / 1024,
        BOUND_RESIDENT / 1024
    );
    for account in accounts {
        let shown = account.counts.iter().filter(|(name, _)| name != "rounds");
        let counts: Vec<String> = shown.map(|(name, number)| format!("{number} {name}")).collect();
        text += &format!("{}: {}\n", account.phase, counts.join(", "));
    }
    text
}
