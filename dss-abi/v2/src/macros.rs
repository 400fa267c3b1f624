//! The macros that define a library and its objects.
//!
//! The author's expressions see the items of the expansion. So the names of these items begin with `__dss`: otherwise
//! `run` in an expression could be the macro's function and not the author's.

mod object;

/// Defines the library: its name, its functions and its settings. Use it once in a crate of the type `cdylib`.
///
/// ```text
/// library! {
///     name: STRING,
///     version: STRING,
///     requires: STRING,
///     functions: { FUNCTION, "lua-name" => PATH, ... },
///     objects: [TYPE, ...],
///     limits: LIMITS,
///     keep_alive: BOOL,
///     open: PATH,
///     close: PATH,
/// }
/// ```
///
/// You may write the fields in any order. `name`, `version` and `requires` are required. All values are constant
/// expressions.
///
/// | field | meaning | if it is missing |
/// |---|---|---|
/// | `name` | the name by which Lua loads the library: letters, digits, `_`, `-` and `.` | an error |
/// | `version` | the library's version, a semantic version | an error |
/// | `requires` | the versions of DSS that the library works with, a requirement as in cargo | an error |
/// | `functions` | the functions for Lua: see [`Function`](crate::Function) | no functions |
/// | `objects` | the types that have [`object!`](crate::object!) and that Lua can have | no objects |
/// | `limits` | the size of the queue: see [`Limits`](crate::Limits) | 65,536 items, 64 MiB |
/// | `keep_alive` | whether Lua's `run()` goes on while the library is registered | `true` |
/// | `open` | called when a Lua state loads the library: `fn(&Library) -> Result<()>` | nothing is called |
/// | `close` | called when that state closes: `fn(&Library)` | nothing is called |
///
/// Write a function of this module as its name alone, like `greet` below. Write a function of another module, or one
/// that has another name in Lua, as `"lua-name" => path::to::function`. If `open` returns an error, DSS does not load
/// the library.
///
/// ```
/// use dss_abi_v2::{library, object, Library, Limits, Policy, Result};
///
/// library! {
///     name: "hello",
///     version: env!("CARGO_PKG_VERSION"),
///     requires: "^2.1",
///     functions: { greet, "twice-as-loud" => loud::shout },
///     objects: [Door],
///     limits: Limits::new().items(10_000).policy(Policy::DropOldest),
///     keep_alive: false,
///     open: opened,
///     close: closed,
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
/// # What it generates
/// The macro exports the function with which DSS opens the library, and writes the [declaration](crate::declaration)
/// into the file. It catches panics: a panic in a function becomes a Lua error with the message of the panic.
///
/// # Errors
/// These mistakes do not compile: an unknown field, a missing field, a field given twice, an invalid `version` or
/// `requires`, two functions or two types of the same name, and a function that is not a
/// [`Function`](crate::Function).
///
/// If a function takes or returns an object whose type is not in `objects`, DSS refuses to load the library.
#[macro_export]
macro_rules! library {
    (
        name: $name:expr,
        version: $version:expr,
        requires: $requires:expr
        $(, functions: { $($function:tt $(=> $path:expr)?),* $(,)? })?
        $(, objects: [$($object:ty),* $(,)?])?
        $(, limits: $limits:expr)?
        $(, keep_alive: $keep_alive:expr)?
        $(, open: $open:expr)?
        $(, close: $close:expr)?
        $(,)?
    ) => {
        $crate::__library! {
            @fields [() () () () () () () () ()]
            name: $name,
            version: $version,
            requires: $requires,
            $(functions: { $($function $(=> $path)?),* },)?
            $(objects: [$($object),*],)?
            $(limits: $limits,)?
            $(keep_alive: $keep_alive,)?
            $(open: $open,)?
            $(close: $close,)?
        }
    };
    ($($fields_in_another_order:tt)*) => {
        $crate::__library! { @fields [() () () () () () () () ()] $($fields_in_another_order)* }
    };
}

/// What [`library!`](crate::library!) expands to. It takes the fields one by one, each into its place in
/// `[name version requires functions objects limits keep_alive open close]`. `()` is a field that is not given.
#[doc(hidden)]
#[macro_export]
macro_rules! __library {
    (@or ($given:expr) $default:expr) => { $given };
    (@or () $default:expr) => { $default };

    // The name of a function or method: `greet`, `"name" => path` or `name => path`.
    (@name $name:ident) => { ::core::stringify!($name) };
    (@name $name:literal) => { $name };

    // An error is to point at the name in the author's code: so that stays what it was, a token, all the way down.
    (@function $owner:ident, [$($token:tt)*] $name:ident) => {
        $crate::__library!(@entry (), $owner, '.', ::core::stringify!($name), [$($token)*], [], function, call_function)
    };
    (@function $owner:ident, [$($token:tt)*] $name:literal) => {
        ::core::compile_error!(::core::concat!(
            "`functions` has the name ", ::core::stringify!($name), " without a function: write `",
            ::core::stringify!($name), " => path::to::function`"
        ))
    };
    (@function $owner:ident, [$($token:tt)*] $name:tt $path:expr) => {
        $crate::__library!(
            @entry (), $owner, '.', $crate::__library!(@name $name), [$path], [], function, call_function
        )
    };

    // Of a method the name alone is in the author's code: so it is given that name again, and that is what is called.
    (@method $owner:ident, $type:ty, [$($token:tt)*] $name:ident) => {
        $crate::__library!(
            @entry $type, $owner, ':', ::core::stringify!($name), [$($token)*],
            [#[allow(non_snake_case)] let $($token)* = <$type>::$name;], method, call_method
        )
    };
    (@method $owner:ident, $type:ty, [$($token:tt)*] $name:literal) => {
        ::core::compile_error!(::core::concat!(
            "`methods` has the name ", ::core::stringify!($name), " without a method: write `",
            ::core::stringify!($name), " => Type::method`"
        ))
    };
    (@method $owner:ident, $type:ty, [$($token:tt)*] $name:tt $path:expr) => {
        $crate::__library!(
            @entry $type, $owner, ':', $crate::__library!(@name $name), [$path], [], method, call_method
        )
    };

    (
        @entry $type:ty, $owner:ident, $mark:literal, $name:expr, [$($path:tt)*], [$($before:tt)*],
        $call:ident, $respond:ident
    ) => {{
        const __DSS_PLACE: $crate::__private::Place =
            $crate::__private::Place { owner: $owner, mark: $mark, name: $name };

        // Safe, so that what the author wrote is not within anything unsafe.
        fn __dss_run<'a>(
            wanted: $crate::__private::Wanted<'a, '_, $type>,
        ) -> ::core::result::Result<(), $crate::Error> {
            $($before)*
            $crate::__private::$call($($path)*, wanted)
        }

        unsafe extern "C" fn __dss_call(
            call: &$crate::contract::RawCall,
            arguments: $crate::__private::RVec<$crate::value::RawValue>,
        ) -> $crate::__private::Returned {
            // SAFETY: DSS made this call; that of a method with an object of the class that names it.
            unsafe { $crate::__private::$respond(__DSS_PLACE, call, arguments, __dss_run) }
        }

        $crate::__private::Entry {
            raw: $crate::contract::RawFunction {
                name: $crate::__private::RStr::from_str(__DSS_PLACE.name),
                call: $crate::contract::CallFn(__dss_call),
                data: 0,
            },
            place: __DSS_PLACE,
            run: __dss_run,
        }
    }};

    // Refuses what is twice among the names, with a sentence around it.
    (@refuse_twice $names:expr, $before:literal, $after:literal) => {
        const _: () = {
            const TWICE: &$crate::__private::str = $crate::__private::twice($names);
            const PARTS: &[&$crate::__private::str] = &[$before, TWICE, $after];
            const SENTENCE: [u8; $crate::__private::length(PARTS)] = $crate::__private::joined(PARTS);
            $crate::__private::refuse_if(!TWICE.is_empty(), &SENTENCE)
        };
    };

    (@fields [() $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt $i:tt] name: $value:expr $(, $($rest:tt)*)?) => {
        $crate::__library! { @fields [($value) $b $c $d $e $f $g $h $i] $($($rest)*)? }
    };
    (@fields [$a:tt () $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt $i:tt] version: $value:expr $(, $($rest:tt)*)?) => {
        $crate::__library! { @fields [$a ($value) $c $d $e $f $g $h $i] $($($rest)*)? }
    };
    (@fields [$a:tt $b:tt () $d:tt $e:tt $f:tt $g:tt $h:tt $i:tt] requires: $value:expr $(, $($rest:tt)*)?) => {
        $crate::__library! { @fields [$a $b ($value) $d $e $f $g $h $i] $($($rest)*)? }
    };
    (
        @fields [$a:tt $b:tt $c:tt () $e:tt $f:tt $g:tt $h:tt $i:tt]
        functions: { $($name:tt $(=> $path:expr)?),* $(,)? } $(, $($rest:tt)*)?
    ) => {
        $crate::__library! { @fields [$a $b $c ({ $($name $(=> $path)?),* }) $e $f $g $h $i] $($($rest)*)? }
    };
    (
        @fields [$a:tt $b:tt $c:tt $d:tt () $f:tt $g:tt $h:tt $i:tt]
        objects: [$($object:ty),* $(,)?] $(, $($rest:tt)*)?
    ) => {
        $crate::__library! { @fields [$a $b $c $d ([$($object),*]) $f $g $h $i] $($($rest)*)? }
    };
    (@fields [$a:tt $b:tt $c:tt $d:tt $e:tt () $g:tt $h:tt $i:tt] limits: $value:expr $(, $($rest:tt)*)?) => {
        $crate::__library! { @fields [$a $b $c $d $e ($value) $g $h $i] $($($rest)*)? }
    };
    (@fields [$a:tt $b:tt $c:tt $d:tt $e:tt $f:tt () $h:tt $i:tt] keep_alive: $value:expr $(, $($rest:tt)*)?) => {
        $crate::__library! { @fields [$a $b $c $d $e $f ($value) $h $i] $($($rest)*)? }
    };
    (@fields [$a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt () $i:tt] open: $value:expr $(, $($rest:tt)*)?) => {
        $crate::__library! { @fields [$a $b $c $d $e $f $g (::core::option::Option::Some($value)) $i] $($($rest)*)? }
    };
    (@fields [$a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt ()] close: $value:expr $(, $($rest:tt)*)?) => {
        $crate::__library! { @fields [$a $b $c $d $e $f $g $h (::core::option::Option::Some($value))] $($($rest)*)? }
    };

    // What no rule above takes. A place that holds something is one that was given before.
    (@fields [($($given:tt)+) $($others:tt)*] name: $($rest:tt)*) => { $crate::__library! { @twice name } };
    (@fields [$a:tt ($($given:tt)+) $($others:tt)*] version: $($rest:tt)*) => { $crate::__library! { @twice version } };
    (@fields [$a:tt $b:tt ($($given:tt)+) $($others:tt)*] requires: $($rest:tt)*) => { $crate::__library! { @twice requires } };
    (@fields [$a:tt $b:tt $c:tt ($($given:tt)+) $($others:tt)*] functions: $($rest:tt)*) => {
        $crate::__library! { @twice functions }
    };
    (@fields [$a:tt $b:tt $c:tt $d:tt ($($given:tt)+) $($others:tt)*] objects: $($rest:tt)*) => {
        $crate::__library! { @twice objects }
    };
    (@fields [$a:tt $b:tt $c:tt $d:tt $e:tt ($($given:tt)+) $($others:tt)*] limits: $($rest:tt)*) => {
        $crate::__library! { @twice limits }
    };
    (@fields [$a:tt $b:tt $c:tt $d:tt $e:tt $f:tt ($($given:tt)+) $($others:tt)*] keep_alive: $($rest:tt)*) => {
        $crate::__library! { @twice keep_alive }
    };
    (@fields [$a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt ($($given:tt)+) $($others:tt)*] open: $($rest:tt)*) => {
        $crate::__library! { @twice open }
    };
    (@fields [$a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt ($($given:tt)+)] close: $($rest:tt)*) => {
        $crate::__library! { @twice close }
    };
    (@twice $field:ident) => {
        ::core::compile_error!(::core::concat!("`library!` has the field `", ::core::stringify!($field), "` twice"));
    };
    (@fields $places:tt functions: $($rest:tt)*) => {
        ::core::compile_error!(
            "`functions` of `library!` is a list in braces, followed by a comma: `functions: { greet, \"other-name\" => \
             path::to::function }`; a function of another module needs the name in front"
        );
    };
    (@fields $places:tt objects: $($rest:tt)*) => {
        ::core::compile_error!(
            "`objects` of `library!` is a list of types in brackets, followed by a comma: `objects: [Door, Window]`"
        );
    };
    (@fields $places:tt name: $($rest:tt)*) => { $crate::__library! { @malformed name } };
    (@fields $places:tt version: $($rest:tt)*) => { $crate::__library! { @malformed version } };
    (@fields $places:tt requires: $($rest:tt)*) => { $crate::__library! { @malformed requires } };
    (@fields $places:tt limits: $($rest:tt)*) => { $crate::__library! { @malformed limits } };
    (@fields $places:tt keep_alive: $($rest:tt)*) => { $crate::__library! { @malformed keep_alive } };
    (@fields $places:tt open: $($rest:tt)*) => { $crate::__library! { @malformed open } };
    (@fields $places:tt close: $($rest:tt)*) => { $crate::__library! { @malformed close } };
    (@malformed $field:ident) => {
        ::core::compile_error!(::core::concat!(
            "the field `", ::core::stringify!($field), "` of `library!` is a value, followed by a comma"
        ));
    };
    (@fields $places:tt $field:tt $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "`library!` has no field `", ::core::stringify!($field), "`: its fields are `name`, `version` and `requires`, \
             and optionally `functions`, `objects`, `limits`, `keep_alive`, `open` and `close`"
        ));
    };
    (@fields [() $($others:tt)*]) => { $crate::__library! { @missing name, "\"hello\"" } };
    (@fields [$a:tt () $($others:tt)*]) => { $crate::__library! { @missing version, "env!(\"CARGO_PKG_VERSION\")" } };
    (@fields [$a:tt $b:tt () $($others:tt)*]) => { $crate::__library! { @missing requires, "\"^2.1\"" } };
    (@missing $field:ident, $example:literal) => {
        ::core::compile_error!(::core::concat!(
            "`library!` lacks the field `", ::core::stringify!($field), "`: write `", ::core::stringify!($field), ": ",
            $example, "`"
        ));
    };

    // All is given.
    (
        @fields [
            ($name:expr) ($version:expr) ($requires:expr)
            ($({ $($function:tt $(=> $path:expr)?),* })?) ($([$($object:ty),*])?)
            $limits:tt $keep_alive:tt $open:tt $close:tt
        ]
    ) => {
        // In the author's crate, which may be built in another way than this one: `cargo rustc -- -C panic=abort`.
        #[cfg(not(panic = "unwind"))]
        ::core::compile_error!(
            "a DarkSideSync library must be built with panic = \"unwind\": a panic in it has to become an error of that \
             call, and not the end of the process that loaded it; remove `-C panic=abort`, or `panic = \"abort\"` from the \
             profile"
        );

        const _: () = {
            const __DSS_NAME: &$crate::__private::str = $name;
            const __DSS_VERSION: &$crate::__private::str = $version;
            const __DSS_REQUIRES: &$crate::__private::str = $requires;

            const _: () = {
                const PARTS: &[&$crate::__private::str] = &[
                    "the `version` in `library!` is \"", __DSS_VERSION,
                    "\", which is not a semantic version: write three numbers, as in \"1.0.0\""
                ];
                const SENTENCE: [u8; $crate::__private::length(PARTS)] = $crate::__private::joined(PARTS);
                $crate::__private::refuse_if(!$crate::__private::is_version(__DSS_VERSION), &SENTENCE)
            };
            const _: () = {
                const PARTS: &[&$crate::__private::str] = &[
                    "`requires` in `library!` is \"", __DSS_REQUIRES,
                    "\", which is not a version requirement: write one as in Cargo.toml, such as \"^2.1\""
                ];
                const SENTENCE: [u8; $crate::__private::length(PARTS)] = $crate::__private::joined(PARTS);
                $crate::__private::refuse_if(!$crate::__private::is_requirement(__DSS_REQUIRES), &SENTENCE)
            };
            const __DSS_NAMES: &[&$crate::__private::str] = &[$($($crate::__library!(@name $function)),*)?];
            $crate::__library! {
                @refuse_twice __DSS_NAMES,
                "two functions of `library!` have the name \"", "\": give each function its own name"
            }
            $crate::__library! {
                @refuse_twice &[$($(<$object as $crate::Object>::NAME),*)?],
                "two types in `objects` of `library!` have the name \"", "\": list each type once, and give each its own name"
            }

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
            static __DSS_DECLARATION: $crate::declaration::Declaration = $crate::declaration::Declaration {
                flags: if ::core::cfg!(panic = "unwind") { $crate::declaration::BUILT_TO_UNWIND } else { 0 },
                ..$crate::declaration::Declaration::new(__DSS_NAME, __DSS_VERSION, __DSS_REQUIRES)
            };

            const __DSS_COUNT: usize = __DSS_NAMES.len();
            const __DSS_FUNCTIONS: [$crate::__private::Entry<()>; __DSS_COUNT] = [$($(
                $crate::__library!(@function __DSS_NAME, [$function] $function $($path)?)
            ),*)?];

            static __DSS_DEFINITION: $crate::__private::Definition = $crate::__private::Definition {
                declaration: &__DSS_DECLARATION,
                name: __DSS_NAME,
                version: __DSS_VERSION,
                functions: &$crate::__private::raw(&__DSS_FUNCTIONS),
                uses: __dss_uses,
                classes: &[$($(<$object as $crate::Object>::class),*)?],
                limits: $crate::__library!(@or $limits $crate::Limits::new()),
                keep_alive: $crate::__library!(@or $keep_alive true),
                open: $crate::__library!(@or $open ::core::option::Option::None),
                close: $crate::__library!(@or $close ::core::option::Option::None),
            };

            fn __dss_uses(uses: &mut $crate::__private::Uses) {
                uses.ask(&__DSS_FUNCTIONS);
                $($(<$object as $crate::Object>::uses(uses);)*)?
            }

            #[no_mangle]
            unsafe extern "C" fn dss_library_v2_open(
                opening: *const $crate::contract::Opening,
                answer: *mut $crate::__private::Answer,
            ) -> i32 {
                // SAFETY: DSS makes this call.
                unsafe { $crate::__private::open(&__DSS_DEFINITION, opening, answer) }
            }

            const _: $crate::contract::OpenFn = dss_library_v2_open;
        };
    };
}
