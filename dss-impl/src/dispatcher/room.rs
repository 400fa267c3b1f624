//! Room at a bound: what makes way for an item, by its library's policy.

use crate::bounds::{Bound, Policy};
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
    bound: &mut Bound,
    behind: &mut Queue<Item>,
    ahead: &mut Option<&mut Queue<Item>>,
    item: Item,
    key: &[u8],
    displaced: &mut Vec<(Item, Outcome)>,
) -> Option<Result<(), Hindrance>> {
    let (ticket, bytes) = (item.sequence, item.bytes);
    if bound.limits.policy != Policy::Latest || key.is_empty() || bytes as usize > bound.limits.bytes {
        return None;
    }
    let place = bound.latest(key)?;
    let queue = match (behind.get(place).is_some(), ahead) {
        (true, _) => behind,
        (false, Some(ahead)) => ahead,
        (false, None) => return Some(Err(Hindrance::Desk)),
    };
    // What may be too much is what it is larger by.
    let left = bound.limits.bytes.saturating_sub(bound.bytes());
    let old = queue.get(place).filter(|old| bytes.saturating_sub(old.bytes) as usize <= left)?.bytes;
    let replaced = queue.replace(Item { sequence: place, ..item }).ok()?;
    bound.take_place(key, ticket, bytes, old);
    displaced.push((replaced, Outcome::Dropped));
    Some(Ok(()))
}

/// Makes room for an item by its library's policy. `ahead` is the desk's queue, where it is locked.
pub(super) fn make_room(
    bound: &mut Bound,
    behind: &mut Queue<Item>,
    mut ahead: Option<&mut Queue<Item>>,
    bytes: u32,
    key: &[u8],
    displaced: &mut Vec<(Item, Outcome)>,
) -> Result<(), Hindrance> {
    if bytes as usize > bound.limits.bytes {
        return Err(Hindrance::TooLarge);
    }
    let exact = ahead.is_some();
    while !bound.has_room(bytes) {
        let oldest = match bound.limits.policy {
            Policy::DropOldest => bound.oldest(),
            _ => None,
        };
        let Some(sequence) = oldest else {
            // Lua may be taking the one that had to make room at this moment: the desk lock knows.
            let unsettled = !exact && bound.was_taken(key);
            return Err(if unsettled { Hindrance::Desk } else { Hindrance::Full });
        };
        let found = match (behind.remove(sequence, |_| true), &mut ahead) {
            (Some(item), _) => Some(item),
            (None, Some(ahead)) => ahead.remove(sequence, |_| true),
            (None, None) => return Err(Hindrance::Desk),
        };
        if let Some(item) = found {
            bound.remove(sequence, item.bytes);
            bound.dropped += 1;
            displaced.push((item, Outcome::Dropped));
        }
    }
    Ok(())
}
