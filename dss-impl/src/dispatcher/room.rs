//! Room for an item: which items make way for it, by its library's policy.

use crate::capacity::{Capacity, Policy};
use crate::item::Item;
use crate::memory::TryRoom;
use crate::outcome::Outcome;
use crate::queue::Queue;

/// Why an item cannot enter now.
pub(super) enum Hindrance {
    /// The item that must make way is at the desk.
    Desk,
    Full,
    TooLarge,
    /// There is no memory.
    Memory,
}

/// Replaces the previous item with the same key, if the policy says so. None if there is no such item, or if the new one is too large for
/// its place. `ahead` is the desk's queue, if that is locked.
pub(super) fn coalesce(
    capacity: &mut Capacity,
    behind: &mut Queue<Item>,
    ahead: &mut Option<&mut Queue<Item>>,
    item: Item,
    key: &[u8],
    evicted: &mut Vec<(Item, Outcome)>,
) -> Option<Result<(), Hindrance>> {
    let (number, bytes) = (item.sequence, item.bytes);
    if capacity.policy() != Policy::Latest || key.is_empty() || capacity.is_too_large(bytes) {
        return None;
    }
    let position = capacity.latest(key)?;
    let queue = match (behind.get(position).is_some(), ahead) {
        (true, _) => behind,
        (false, Some(ahead)) => ahead,
        (false, None) => return Some(Err(Hindrance::Desk)),
    };
    // Only the difference in size has to fit.
    let left = capacity.bytes_left();
    let old = queue.get(position).filter(|old| bytes.saturating_sub(old.bytes) as usize <= left)?.bytes;
    if evicted.try_room(1).is_err() || !capacity.prepare_coalesce() {
        return Some(Err(Hindrance::Memory));
    }
    let replaced = queue.replace(Item { sequence: position, ..item }).ok()?;
    capacity.coalesce(key, number, bytes, old);
    evicted.push((replaced, Outcome::Dropped));
    Some(Ok(()))
}

/// Makes room for an item by its library's policy. `ahead` is the desk's queue, if that is locked.
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
            // At this moment, Lua may be taking the item that should make way. Only the desk lock can tell.
            let unsettled = !exact && capacity.was_taken(key);
            return Err(if unsettled { Hindrance::Desk } else { Hindrance::Full });
        };
        if evicted.try_room(1).is_err() {
            return Err(Hindrance::Memory);
        }
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
