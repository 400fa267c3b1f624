//! The objects of one library that one Lua state owns.

use std::collections::HashMap;
use std::collections::hash_map::IntoIter;
use std::ffi::c_void;
use std::sync::Arc;

use super::copied::{Claims, Copied, Key, ObjectClass, key};
use super::service::Refused;
use super::wire::Wire;
use super::{Context, service};
use crate::delivery::DeliverError;
use crate::handle::Handle;
use crate::memory::TryRoom;
use crate::states;
use crate::sync::Mutex;

/// The objects that Lua owns. They are dropped when the library leaves. What Lua still has then refers to nothing. Several objects of
/// size zero may have the same address, so objects are identified by class too, and counted.
pub(super) struct Objects<W: Wire> {
    /// The classes that the library lists.
    pub(super) classes: Box<[&'static W::Class]>,
    /// The objects that the library gave away, for wires that track this.
    claims: Arc<Claims>,
    luas: Mutex<HashMap<Key, Held<W>>>,
}

struct Held<W: Wire> {
    class: &'static W::Class,
    count: usize,
}

impl<W: Wire> Objects<W> {
    pub(super) fn new(classes: &[&'static W::Class]) -> Self {
        Objects { classes: classes.into(), claims: Arc::new(Claims::new()), luas: Mutex::new(HashMap::new()) }
    }

    fn add(&self, data: *mut c_void, class: &'static W::Class) {
        self.luas.lock().entry(key(data, class)).or_insert(Held { class, count: 0 }).count += 1;
    }

    pub(super) fn has(&self, data: *mut c_void, class: &'static W::Class) -> bool {
        self.luas.lock().contains_key(&key(data, class))
    }

    /// Drops an object, unless it was dropped before.
    pub(super) fn drop_one(&self, data: *mut c_void, class: &'static W::Class) {
        let key = key(data, class);
        let mut objects = self.luas.lock();
        let Some(held) = objects.get_mut(&key) else { return };
        held.count -= 1;
        if held.count == 0 {
            objects.remove(&key);
        }
        drop(objects);
        self.claims.give_up(key);
        // SAFETY: the library made the data and the class together, and the map's count for them was just reduced by one.
        unsafe { W::drop_object(class, data) };
    }

    pub(super) fn drop_all(&self) {
        let all = std::mem::take(&mut *self.luas.lock());
        DropAll { claims: &self.claims, all: all.into_iter() }.run();
    }
}

/// Objects that are being dropped. If an exception leaves the drop of one, the others are dropped when this is.
struct DropAll<'a, W: Wire> {
    claims: &'a Claims,
    all: IntoIter<Key, Held<W>>,
}

impl<W: Wire> DropAll<'_, W> {
    fn run(&mut self) {
        for (key, Held { class, count }) in &mut self.all {
            self.claims.give_up(key);
            let (data, _) = key;
            let data: *mut c_void = std::ptr::with_exposed_provenance_mut(data);
            for _ in 0..count {
                // SAFETY: the library made the data and the class together, and Lua owned that many.
                unsafe { W::drop_object(class, data) };
            }
        }
    }
}

impl<W: Wire> Drop for DropAll<'_, W> {
    fn drop(&mut self) {
        self.run();
    }
}

/// An object that a library gives away. It must be of one of the library's classes, the one that `is` accepts, and not given away
/// before. [any-thread]
///
/// # Safety
/// The library made the object, as one of that class.
pub(crate) unsafe fn give<W, C>(
    raw: usize,
    data: *mut c_void,
    is: impl Fn(&'static C) -> bool,
) -> Result<Copied<C>, Refused>
where
    W: Wire<Class = C>,
    C: ObjectClass,
{
    let (dispatcher, handle) = service::dispatcher(raw)?;
    let objects = dispatcher.look_at_context(handle, W::NUMBER, |context| {
        // SAFETY: the library is registered, of this revision, and stays registered until this returns.
        Arc::clone(&unsafe { Context::<W>::of(context) }.objects)
    });
    let objects = objects.ok_or(DeliverError::InvalidHandle)?;
    let class = objects.classes.iter().copied().find(|class| is(class)).ok_or(Refused::NotYours)?;
    let no_memory = |error| Refused::Deliver(DeliverError::from(error));
    if !objects.claims.claim(key(data, class)).map_err(no_memory)? {
        return Err(Refused::NotYours);
    }
    // SAFETY: as the caller promises.
    unsafe { Copied::object(data, class, &objects.claims) }.map_err(no_memory)
}

/// Makes room for an object that is about to be given to Lua, and for some that Lua's finalizers may get meanwhile. Call it in a call into
/// the library of `handle`. False if out of memory.
pub(super) fn make_room<W: Wire>(handle: Handle) -> bool {
    within::<W, _>(handle, |objects| objects.luas.lock().try_room(16).is_ok()).unwrap_or(true)
}

/// Records that Lua owns an object now. Call it in a call into the library of `handle`.
pub(super) fn given<W: Wire>(handle: Handle, data: *mut c_void, class: &'static W::Class) {
    within::<W, _>(handle, |objects| objects.add(data, class));
}

/// Calls `work` with the objects. Call it in a call into the library of `handle`.
fn within<W: Wire, R>(handle: Handle, work: impl FnOnce(&Objects<W>) -> R) -> Option<R> {
    let context = states::dispatcher_of(handle)?.context(handle)?;
    // SAFETY: the library is being called, so its registration exists.
    Some(work(&unsafe { Context::<W>::of(context) }.objects))
}
