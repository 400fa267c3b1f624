//! Values that DSS has copied, for revisions whose libraries keep what they hand over.

use std::collections::HashSet;
use std::ffi::c_void;
use std::sync::Arc;

use super::service::Refused;
use super::wire::{Plain, Shape, Wire};
use crate::callbacks::{CallbackId, Reference};
use crate::delivery::DeliverError;
use crate::memory::{OutOfMemory, TryRoom, try_box, try_bytes};
use crate::states;
use crate::sync::Mutex;
use crate::value::{MAX_DEPTH, ObjectRef};

/// Limit of the values in one copy, including those in lists and maps. A list may contain itself, and so be larger than any memory.
const MOST_VALUES: usize = 1 << 20;

/// Limit of the bytes in all strings of one copy, for the same reason.
const MOST_BYTES: usize = 1 << 30;

/// A class of objects, as far as a copy needs it.
pub(crate) trait ObjectClass: Sync + 'static {
    /// Drops an object. [any-thread]
    ///
    /// # Safety
    /// The object is of this class, and is not used again.
    unsafe fn drop_object(&'static self, data: *mut c_void);
}

/// A value that DSS owns. Dropping it drops what it contains, including objects: see [`disown`].
pub(crate) enum Copied<C: ObjectClass> {
    Nil,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    /// A string of at most [`SHORT`] bytes. It needs no memory of its own.
    Short(Short),
    /// A longer string.
    Bytes(Box<[u8]>),
    List(Box<[Copied<C>]>),
    Map(Box<[Entry<C>]>),
    Callback(Held),
    /// An object that the library gives away.
    Object(Given<C>),
    /// An object that Lua owns.
    Lent(ObjectRef),
}

/// The longest string that needs no memory of its own: 22 bytes, and 14 where addresses have 32 bits. With them a value has 24 bytes, or 16.
const SHORT: usize = size_of::<(u64, Box<[u8]>)>() - 2;

/// A short string.
pub(crate) struct Short {
    length: u8,
    bytes: [u8; SHORT],
}

impl Short {
    /// `text`, if it is short.
    fn new(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; SHORT];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Short { length: text.len() as u8, bytes })
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// A key and a value of a map.
pub(crate) type Entry<C> = (Copied<C>, Copied<C>);

/// A reference to a callback.
pub(crate) struct Held(u64);

impl Drop for Held {
    fn drop(&mut self) {
        states::release_callback(CallbackId::from_raw(self.0));
    }
}

/// An object that DSS owns, and Lua does not own yet.
pub(crate) struct Given<C: ObjectClass>(Box<Claimed<C>>);

struct Claimed<C: ObjectClass> {
    data: *mut c_void,
    class: &'static C,
    claims: Arc<Claims>,
    /// Whether the object is dropped with this. If not, Lua owns it now, or its library owns it again.
    owned: bool,
}

impl<C: ObjectClass> Drop for Claimed<C> {
    fn drop(&mut self) {
        if self.owned {
            self.claims.give_up(key(self.data, self.class));
            // SAFETY: it was given away, and has not been passed to Lua or given back.
            unsafe { self.class.drop_object(self.data) };
        }
    }
}

/// An object by its data and its class.
pub(super) type Key = (usize, usize);

/// The key of an object.
pub(super) fn key<C>(data: *mut c_void, class: &'static C) -> Key {
    (data.expose_provenance(), std::ptr::from_ref(class).expose_provenance())
}

/// The objects of one library in one Lua state that were given away and not dropped: they are queued, in a result, or Lua's.
pub(crate) struct Claims(Mutex<HashSet<Key>>);

impl Claims {
    pub(super) fn new() -> Self {
        Claims(Mutex::new(HashSet::new()))
    }

    /// Takes an object over. False if it was given away before.
    pub(super) fn claim(&self, key: Key) -> Result<bool, OutOfMemory> {
        let mut claims = self.0.lock();
        claims.try_room(1)?;
        Ok(claims.insert(key))
    }

    /// The object is about to be dropped, or given back to its library.
    pub(super) fn give_up(&self, key: Key) {
        self.0.lock().remove(&key);
    }
}

impl<C: ObjectClass> Copied<C> {
    /// An object that the library gives away and that was claimed.
    ///
    /// # Errors
    /// Out of memory. The claim was given up.
    ///
    /// # Safety
    /// The library made the data and the class together.
    pub(super) unsafe fn object(
        data: *mut c_void,
        class: &'static C,
        claims: &Arc<Claims>,
    ) -> Result<Self, OutOfMemory> {
        let claimed = Claimed { data, class, claims: Arc::clone(claims), owned: false };
        let mut claimed = try_box(claimed).inspect_err(|_| claims.give_up(key(data, class)))?;
        claimed.owned = true;
        Ok(Copied::Object(Given(claimed)))
    }

    /// [`Wire::shape`].
    #[inline]
    pub(crate) fn shape<W>(&mut self) -> Shape<'_, W>
    where
        W: Wire<Value = Copied<C>, Entry = Entry<C>, Class = C>,
    {
        match self {
            Copied::Nil => Shape::Plain(Plain::Nil),
            Copied::Boolean(value) => Shape::Plain(Plain::Boolean(*value)),
            Copied::Integer(value) => Shape::Plain(Plain::Integer(*value)),
            Copied::Float(value) => Shape::Plain(Plain::Float(*value)),
            Copied::Short(text) => Shape::Bytes(text.bytes()),
            Copied::Bytes(bytes) => Shape::Bytes(bytes),
            Copied::List(list) => Shape::List(list),
            Copied::Map(map) => Shape::Map(map),
            Copied::Callback(held) => Shape::Callback(CallbackId::from_raw(held.0)),
            Copied::Object(Given(object)) => Shape::Object(object.data, object.class),
            Copied::Lent(object) => Shape::Lent(*object),
        }
    }

    /// Turns it into nil: Lua owns the object now.
    pub(crate) fn forget_object(&mut self) {
        if let Copied::Object(Given(object)) = self {
            object.owned = false;
        }
        *self = Copied::Nil;
    }
}

/// Leaves the objects in the values to their library. The values were refused and are about to be dropped.
pub(crate) fn disown<C: ObjectClass>(values: &mut [Copied<C>]) {
    for value in values {
        match value {
            Copied::Object(Given(object)) => {
                object.owned = false;
                object.claims.give_up(key(object.data, object.class));
            }
            Copied::List(list) => disown(list),
            Copied::Map(map) => {
                for (key, value) in map {
                    disown(std::slice::from_mut(key));
                    disown(std::slice::from_mut(value));
                }
            }
            _ => {}
        }
    }
}

/// A copy of a list: `each` writes one item.
pub(crate) fn list<T, C: ObjectClass>(
    items: &[T],
    each: impl FnMut(&T, *mut Copied<C>) -> Result<(), Refused>,
) -> Result<Box<[Copied<C>]>, Refused> {
    let mut copy = Vec::new();
    copy.try_room_exact(items.len()).map_err(no_memory)?;
    // SAFETY: there is room for that many.
    unsafe { write(items, copy.as_mut_ptr(), each) }?;
    // SAFETY: all were written.
    unsafe { copy.set_len(items.len()) };
    Ok(copy.into_boxed_slice())
}

/// A map from a sequence of alternating keys and values.
pub(crate) fn pairs<C: ObjectClass>(mut flat: Box<[Copied<C>]>) -> Result<Box<[Entry<C>]>, Refused> {
    let mut map = Vec::new();
    if map.try_room_exact(flat.len() / 2).is_err() {
        disown(&mut flat);
        return Err(no_memory(OutOfMemory));
    }
    // A Lua table cannot have such a key.
    let wrong =
        |key: &Copied<C>| matches!(key, Copied::Nil) || matches!(key, Copied::Float(it) if it.is_nan());
    if flat.iter().step_by(2).any(wrong) {
        disown(&mut flat);
        return Err(Refused::Malformed);
    }
    let mut flat = flat.into_iter();
    while let (Some(key), Some(value)) = (flat.next(), flat.next()) {
        map.push((key, value));
    }
    Ok(map.into_boxed_slice())
}

/// A reference to a callback, owned by DSS.
pub(crate) fn callback(raw: u64) -> Result<Held, Refused> {
    let reference = states::retain_callback(CallbackId::from_raw(raw));
    reference.map(Reference::into_raw).map(Held).ok_or(Refused::InvalidCallback)
}

fn no_memory<E>(_: E) -> Refused {
    DeliverError::OutOfMemory.into()
}

/// How much one copy may still take. Each copy has one, shared by all its levels.
pub(crate) struct Allowance {
    values: usize,
    bytes: usize,
}

impl Allowance {
    pub(crate) fn new() -> Self {
        Allowance { values: MOST_VALUES, bytes: MOST_BYTES }
    }

    /// Takes that many values at that depth off the allowance.
    pub(crate) fn take(&mut self, values: usize, depth: usize) -> Result<(), Refused> {
        if depth > MAX_DEPTH {
            return Err(Refused::TooDeep);
        }
        self.values = self.values.checked_sub(values).ok_or(Refused::TOO_LARGE)?;
        Ok(())
    }

    /// Copies a string and takes its bytes off the allowance.
    pub(crate) fn string<C: ObjectClass>(&mut self, bytes: &[u8]) -> Result<Copied<C>, Refused> {
        self.bytes = self.bytes.checked_sub(bytes.len()).ok_or(Refused::TOO_LARGE)?;
        if let Some(short) = Short::new(bytes) {
            return Ok(Copied::Short(short));
        }
        Ok(Copied::Bytes(try_bytes(bytes).map_err(DeliverError::from)?))
    }
}

/// Copies values to `to`. `each` writes one value, or nothing if it refuses it. If one is refused, nothing is left there. (It does not return
/// the value: that would be written in parts and copied as a whole, and stall.)
///
/// # Safety
/// There is room at `to` for all items.
#[inline(always)]
pub(crate) unsafe fn write<T, C: ObjectClass>(
    items: &[T],
    to: *mut Copied<C>,
    mut each: impl FnMut(&T, *mut Copied<C>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    for (at, item) in items.iter().enumerate() {
        if let Err(refused) = each(item, to.wrapping_add(at)) {
            // SAFETY: that many were written.
            let written = unsafe { std::slice::from_raw_parts_mut(to, at) };
            // SAFETY: as above.
            unsafe { give_back(written) };
            return Err(refused);
        }
    }
    Ok(())
}

/// Drops copies, but leaves objects to their library.
///
/// # Safety
/// They are not used again.
#[cold]
pub(crate) unsafe fn give_back<C: ObjectClass>(values: &mut [Copied<C>]) {
    disown(values);
    // SAFETY: as the caller promises.
    unsafe { std::ptr::drop_in_place(values) };
}
