//! Room for an item: what makes way for it, by its library's policy.

use crate::capacity::{Capacity, Policy};
use crate::delivery::{Item, Outcome};
use crate::queue::Queue;

/// Why an item cannot enter now.
pub(super) enum Hindrance {
    /// What must make room lies at the desk.
    Desk,
    Full,
    TooLarge,
}

/// Puts an item in the place of the one before of its key, where the policy says so; none where there is no such one, or it is
/// too small for this. `ahead` is the desk's queue, where it is locked.
pub(super) fn take_place(
    capacity: &mut Capacity,
    behind: &mut Queue<Item>,
    ahead: &mut Option<&mut Queue<Item>>,
    item: Item,
    key: &[u8],
    evicted: &mut Vec<(Item, Outcome)>,
) -> Option<Result<(), Hindrance>> {
    let (ticket, bytes) = (item.sequence, item.bytes);
    if capacity.policy() != Policy::Latest || key.is_empty() || capacity.is_too_large(bytes) {
        return None;
    }
    let place = capacity.latest(key)?;
    let queue = match (behind.get(place).is_some(), ahead) {
        (true, _) => behind,
        (false, Some(ahead)) => ahead,
        (false, None) => return Some(Err(Hindrance::Desk)),
    };
    // What may be too much is what it is larger by.
    let left = capacity.bytes_left();
    let old = queue.get(place).filter(|old| bytes.saturating_sub(old.bytes) as usize <= left)?.bytes;
    let replaced = queue.replace(Item { sequence: place, ..item }).ok()?;
    capacity.take_place(key, ticket, bytes, old);
    evicted.push((replaced, Outcome::Dropped));
    Some(Ok(()))
}

/// Makes room for an item by its library's policy. `ahead` is the desk's queue, where it is locked.
pub(super) fn make_room(
    capacity: &mut Capacity,
    behind: &mut Queue<Item>,
    mut ahead: Option<&mut Queue<Item>>,
    bytes: u32,
    key: &[u8],
    evicted: &mut Vec<(Item, Outcome)>,
) -> Result<(), Hindrance> {
    if capacity.is_too_large(bytes) {
        return Err(Hindrance::TooLarge);
    }
    let exact = ahead.is_some();
    while !capacity.has_room(bytes) {
        let oldest = match capacity.policy() {
            Policy::DropOldest => capacity.oldest(),
            _ => None,
        };
        let Some(sequence) = oldest else {
            // Lua may be taking the one that had to make room at this moment: the desk lock knows.
            let unsettled = !exact && capacity.was_taken(key);
            return Err(if unsettled { Hindrance::Desk } else { Hindrance::Full });
        };
        let found = match (behind.remove(sequence, |_| true), &mut ahead) {
            (Some(item), _) => Some(item),
            (None, Some(ahead)) => ahead.remove(sequence, |_| true),
            (None, None) => return Err(Hindrance::Desk),
        };
        if let Some(item) = found {
            capacity.remove(sequence, item.bytes);
            capacity.dropped += 1;
            evicted.push((item, Outcome::Dropped));
        }
    }
    Ok(())
}
