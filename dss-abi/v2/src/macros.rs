//! The macros with which an author says what the library is.

/// Says what the library is: exports what DSS opens it by, and leaves the [declaration](crate::declaration) in its file.
/// Once in a library, of the crate type `cdylib`.
///
/// The fields stand in this order; from `functions` on, each may be left out.
///
/// ```
/// use dss_abi_v2::{library, object, Library, Limits, Policy, Result};
///
/// library! {
///     name: "hello",                      // what Lua loads it by: letters, digits, `_`, `-` and `.`
///     version: env!("CARGO_PKG_VERSION"), // semver
///     requires: "^2.1",                   // which versions of DSS will do
///     functions: { greet, "twice-as-loud" => loud::shout },
///     objects: [Door],                    // the types that `object!` is used with
///     limits: Limits::new().items(10_000).policy(Policy::DropOldest),
///     keep_alive: false,                  // whether `run()` goes on while the library is registered; true unless said
///     open: opened,                       // called in each Lua state that loads the library
///     close: closed,                      // called when that state closes
/// }
///
/// fn greet(_: &Library, name: String) -> String {
///     format!("hello {}", name)
/// }
///
/// mod loud {
///     pub fn shout(_: &dss_abi_v2::Library, text: String) -> String {
///         text.to_uppercase().repeat(2)
///     }
/// }
///
/// struct Door;
/// object! { Door as "door" }
///
/// fn opened(library: &Library) -> Result<()> {
///     Ok(library.keep_alive(true)?)
/// }
///
/// fn closed(_: &Library) {}
/// # fn main() {}
/// ```
///
/// A panic in any of these ends there: in a function it becomes a Lua error, with its message.
#[macro_export]
macro_rules! library {
    (@or [$given:expr] $default:expr) => { $given };
    (@or [] $default:expr) => { $default };
    (@name $name:ident) => { ::core::stringify!($name) };
    (@name $name:literal) => { $name };
    (@path $name:ident) => { $name };
    (@path $name:literal $path:path) => { $path };
    (
        name: $name:expr,
        version: $version:expr,
        requires: $requires:expr
        $(, functions: { $($function:tt $(=> $path:path)?),* $(,)? })?
        $(, objects: [$($object:ty),* $(,)?])?
        $(, limits: $limits:expr)?
        $(, keep_alive: $keep_alive:expr)?
        $(, open: $open:expr)?
        $(, close: $close:expr)?
        $(,)?
    ) => {
        const _: () = {
            const NAME: &str = $name;

            #[used]
            #[cfg_attr(
                any(target_os = "macos", target_os = "ios"),
                link_section = "__DATA,__dss_library"
            )]
            #[cfg_attr(windows, link_section = ".dsslib")]
            #[cfg_attr(
                not(any(windows, target_os = "macos", target_os = "ios")),
                link_section = ".dss.library"
            )]
            static DECLARATION: $crate::declaration::Declaration =
                $crate::declaration::Declaration::new(NAME, $version, $requires);

            static DEFINITION: $crate::__private::Definition = $crate::__private::Definition {
                declaration: &DECLARATION,
                name: NAME,
                version: $version,
                functions: &[$($({
                    const PLACE: $crate::__private::Place = $crate::__private::Place {
                        owner: NAME,
                        mark: '.',
                        name: $crate::library!(@name $function),
                    };

                    // Safe, so that what the author wrote is not within anything unsafe.
                    fn run<'a>(
                        library: &'a $crate::Library,
                        arguments: &mut $crate::Arguments<'a>,
                        values: &mut $crate::Values,
                    ) -> ::core::result::Result<(), $crate::Error> {
                        $crate::__private::Function::call(
                            &$crate::library!(@path $function $($path)?),
                            library,
                            arguments,
                            values,
                        )
                    }

                    unsafe extern "C" fn call(
                        call: &$crate::contract::RawCall,
                        arguments: $crate::__private::RVec<$crate::value::RawValue>,
                    ) -> $crate::__private::Returned {
                        // SAFETY: DSS made this call.
                        unsafe { $crate::__private::call_function(PLACE, call, arguments, run) }
                    }

                    $crate::contract::RawFunction {
                        name: $crate::__private::RStr::from_str(PLACE.name),
                        call: $crate::contract::CallFn(call),
                        data: 0,
                    }
                }),*)?],
                classes: &[$($(<$object as $crate::Object>::class),*)?],
                limits: $crate::library!(@or [$($limits)?] $crate::Limits::new()),
                keep_alive: $crate::library!(@or [$($keep_alive)?] true),
                open: $crate::library!(@or [$(::core::option::Option::Some($open))?] ::core::option::Option::None),
                close: $crate::library!(@or [$(::core::option::Option::Some($close))?] ::core::option::Option::None),
            };

            #[no_mangle]
            unsafe extern "C" fn dss_library_v2_open(
                opening: *const $crate::contract::Opening,
                answer: *mut $crate::__private::Answer,
            ) -> i32 {
                // SAFETY: DSS makes this call.
                unsafe { $crate::__private::open(&DEFINITION, opening, answer) }
            }

            const _: $crate::contract::OpenFn = dss_library_v2_open;
        };
    };
}

/// Says what a type is in Lua: implements [`Object`](crate::Object) and [`IntoValue`](crate::IntoValue) for it, so that a
/// function can return it and a delivery carry it. The library names the type in [`library!`](crate::library!) too.
///
/// The fields stand in this order, and each may be left out.
///
/// ```
/// use dss_abi_v2::{object, Library, Result};
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// struct Counter(AtomicU32);
///
/// object! {
///     Counter as "counter",
///     methods: { add, "value" => Counter::get },  // each `fn(&Counter, &Library, ...) -> ...`
///     to_string: Counter::text,                   // for `tostring`
///     close: Counter::reset,                      // for `counter:close()` and `<close>`
/// }
///
/// impl Counter {
///     fn add(&self, _: &Library, more: Option<u32>) -> u32 {
///         self.0.fetch_add(more.unwrap_or(1), Ordering::Relaxed)
///     }
///
///     fn get(&self, _: &Library) -> u32 {
///         self.0.load(Ordering::Relaxed)
///     }
///
///     fn text(&self) -> String {
///         format!("a counter at {}", self.0.load(Ordering::Relaxed))
///     }
///
///     fn reset(&self, _: &Library) -> Result<()> {
///         self.0.store(0, Ordering::Relaxed);
///         Ok(())
///     }
/// }
/// ```
///
/// What is unsafe stays so:
///
/// ```compile_fail
/// struct Door;
/// unsafe fn danger() -> fn(&Door) -> String {
///     |_| String::new()
/// }
/// dss_abi_v2::object! { Door as "door", to_string: danger() }
/// ```
///
/// A type that Lua could not drop where it collects it, for it is bound to a thread, is none:
///
/// ```compile_fail
/// struct Bound(std::rc::Rc<()>);
/// dss_abi_v2::object! { Bound as "bound" }
/// ```
#[macro_export]
macro_rules! object {
    (@some [$some:expr]) => { $crate::__private::ROption::RSome($some) };
    (@some []) => { $crate::__private::ROption::RNone };
    (@path $type:ty, $name:ident) => { <$type>::$name };
    (@path $type:ty, $name:literal $path:path) => { $path };
    (@call $type:ty, $name:expr, $path:expr) => {{
        const PLACE: $crate::__private::Place =
            $crate::__private::Place { owner: NAME, mark: ':', name: $name };

        // Safe, so that what the author wrote is not within anything unsafe.
        fn run<'a>(
            this: &'a $type,
            library: &'a $crate::Library,
            arguments: &mut $crate::Arguments<'a>,
            values: &mut $crate::Values,
        ) -> ::core::result::Result<(), $crate::Error> {
            $crate::__private::Method::call(&$path, this, library, arguments, values)
        }

        unsafe extern "C" fn call(
            call: &$crate::contract::RawCall,
            arguments: $crate::__private::RVec<$crate::value::RawValue>,
        ) -> $crate::__private::Returned {
            // SAFETY: DSS made this call, with an object of the class that names it.
            unsafe { $crate::__private::call_method::<$type, _>(PLACE, call, arguments, run) }
        }

        $crate::contract::CallFn(call)
    }};
    (
        $type:ty as $name:expr
        $(, methods: { $($method:tt $(=> $path:path)?),* $(,)? })?
        $(, to_string: $text:expr)?
        $(, close: $close:expr)?
        $(,)?
    ) => {
        const _: () = {
            const NAME: &str = $name;

            static CLASS: $crate::contract::RawClass = $crate::contract::RawClass {
                name: $crate::__private::RStr::from_str(NAME),
                methods: $crate::__private::RSlice::from_slice(&[$($(
                    $crate::contract::RawFunction {
                        name: $crate::__private::RStr::from_str($crate::library!(@name $method)),
                        call: $crate::object!(
                            @call $type,
                            $crate::library!(@name $method),
                            $crate::object!(@path $type, $method $($path)?)
                        ),
                        data: 0,
                    }
                ),*)?]),
                to_string: $crate::object!(@some [$({
                    fn text_of(object: &$type) -> ::std::string::String {
                        let text: fn(&$type) -> ::std::string::String = $text;
                        text(object)
                    }

                    unsafe extern "C" fn text(call: &$crate::contract::RawCall) -> $crate::__private::RString {
                        // SAFETY: DSS made this call, with an object of this class.
                        unsafe { $crate::__private::text::<$type>(call.object, text_of) }
                    }

                    $crate::contract::TextFn(text)
                })?]),
                close: $crate::object!(@some [$($crate::object!(@call $type, "close", $close))?]),
                drop: $crate::contract::DropFn($crate::__private::drop_object::<$type>),
            };

            // SAFETY: the class is this type's alone, and so are its functions.
            unsafe impl $crate::Object for $type {
                fn class() -> &'static $crate::contract::RawClass {
                    &CLASS
                }
            }

            impl $crate::IntoValue for $type {
                fn into_value(self) -> ::core::result::Result<$crate::Value, $crate::ValueError> {
                    ::core::result::Result::Ok($crate::Value::Object($crate::AnyObject::new(self)))
                }
            }
        };
    };
}
