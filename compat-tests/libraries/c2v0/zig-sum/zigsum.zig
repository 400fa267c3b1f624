//! zigsum: the BLAKE3 sums of all files in a folder, computed on a thread.
//!
//!   local zigsum = require("darksidesync").load("zigsum")
//!   local walk = zigsum.start(folder, function(path, sum, size) ... end, function(err, files, bytes) ... end)
//!   walk:close()  -- ends it early
//!
//! The first function gets each file: its path in the folder, its sum in hexadecimal and its size; or its path, nil and an error. The
//! second function is called once, after all files. The thread waits where Lua is slower, so nothing is lost.

const std = @import("std");
const builtin = @import("builtin");
const c = @import("dss"); // dss.h, by `zig translate-c`

const allocator = std.heap.c_allocator;
/// Works on the calling thread: it makes no threads and sets no signal handlers.
const io = std.Io.Threaded.global_single_threaded.io();

var dss: *const c.dss_api = undefined;

/// A walk. Its object and its state's list have a reference each.
const Walk = struct {
    references: std.atomic.Value(u32) = .init(1),
    closed: std.atomic.Value(bool) = .init(false),
    ended: std.atomic.Value(bool) = .init(false),
    library: c.dss_library,
    file: c.dss_callback,
    done: c.dss_callback,
    root: std.Io.Dir, // the thread's, which closes it
    // The Lua thread's alone.
    thread: std.Thread = undefined,
    next: ?*Walk = null,

    fn drop(walk: *Walk) void {
        if (walk.references.fetchSub(1, .acq_rel) == 1) allocator.destroy(walk);
    }

    fn run(walk: *Walk) void {
        var total: struct { files: i64 = 0, bytes: i64 = 0 } = .{};
        const err = if (walk.all(&total)) |_| c.dss_nil() else |err| text(@errorName(err));
        walk.root.close(io);
        const end = [_]c.dss_value{ err, c.dss_integer(total.files), c.dss_integer(total.bytes) };
        walk.deliver(walk.done, &end, .last) catch {}; // the state is closing: nobody is left to tell
        dss.release.?(walk.file);
        dss.release.?(walk.done);
        dss.let_go.?(walk.library);
        walk.ended.store(true, .release);
    }

    fn all(walk: *Walk, total: anytype) !void {
        var entries = try walk.root.walk(allocator);
        defer entries.deinit();
        defer while (entries.inner.stack.items.len != 0) entries.leave(io); // deinit does not close folders
        while (try entries.next(io)) |entry| {
            if (entry.kind != .file) continue;
            if (walk.sum(entry)) |found| {
                total.files += 1;
                total.bytes +|= found.size;
                try walk.deliver(walk.file, &.{ text(entry.path), text(&found.sum), c.dss_integer(found.size) }, .one);
            } else |err| {
                if (err == error.Closed) return err;
                try walk.deliver(walk.file, &.{ text(entry.path), c.dss_nil(), text(@errorName(err)) }, .one);
            }
        }
    }

    fn sum(walk: *Walk, entry: std.Io.Dir.Walker.Entry) !struct { sum: [64]u8, size: i64 } {
        var hash: std.crypto.hash.Blake3 = .init(.{});
        var digest: [32]u8 = undefined;
        var block: [64 * 1024]u8 = undefined;
        var size: u63 = 0;
        const file = try entry.dir.openFile(io, entry.basename, .{});
        defer file.close(io);
        while (!walk.closed.load(.acquire)) {
            const count = try file.readPositional(io, &.{&block}, size);
            hash.update(block[0..count]);
            size += @intCast(count);
            if (count != 0) continue;
            hash.final(&digest);
            return .{ .sum = std.fmt.bytesToHex(digest, .lower), .size = size };
        }
        return error.Closed;
    }

    /// Waits for room as often as it takes, until the state closes or, but for the last delivery, the walk does.
    fn deliver(walk: *Walk, to: c.dss_callback, values: []const c.dss_value, which: enum { one, last }) !void {
        const delivery = c.dss_to(to, values.ptr, values.len);
        while (which == .last or !walk.closed.load(.acquire)) switch (dss.deliver.?(walk.library, &delivery, null)) {
            c.DSS_FULL, c.DSS_TIMED_OUT => continue,
            else => |code| return check(code),
        };
        return error.Closed;
    }
};

/// What a Lua state has: its walks. Only its thread uses the list.
const State = struct {
    walks: ?*Walk = null,

    fn join(state: *State, which: enum { ended, all }) void {
        var link = &state.walks;
        while (link.*) |walk| {
            if (which == .all) walk.closed.store(true, .release);
            if (which == .all or walk.ended.load(.acquire)) {
                link.* = walk.next;
                walk.thread.join();
                walk.drop();
            } else link = &walk.next;
        }
    }
};

fn start(call: c.dss_call, _: ?*Walk, arguments: []const c.dss_value) !c_int {
    for ([_]c_int{ c.DSS_STRING, c.DSS_CALLBACK, c.DSS_CALLBACK }, 0..) |kind, n| {
        const wanted = if (n == 0) "a folder" else "a function";
        if (arguments.len <= n or arguments[n].kind != kind) return dss.bad_argument.?(call, n + 1, wanted);
    }
    const state: *State = @ptrCast(@alignCast(dss.state.?(call)));
    state.join(.ended);
    const folder = arguments[0].as.string[0..arguments[0].size];
    const root = std.Io.Dir.cwd().openDir(io, folder, .{ .iterate = true }) catch |err|
        return fail(call, "cannot open {s}: {s}", .{ folder, @errorName(err) });
    errdefer root.close(io);
    const walk = try allocator.create(Walk);
    const file, const done = .{ arguments[1].as.callback, arguments[2].as.callback };
    walk.* = .{ .library = dss.library.?(call), .file = file, .done = done, .root = root };
    const object: c.dss_object = .{ .cls = &class, .data = walk };
    check(dss.result.?(call, &c.dss_object_value(&object))) catch |err| {
        walk.drop();
        return err;
    };
    // The object's reference is DSS's now, whatever comes.
    try check(dss.retain.?(file));
    errdefer dss.release.?(file);
    try check(dss.retain.?(done));
    errdefer dss.release.?(done);
    try check(dss.hold.?(walk.library));
    errdefer dss.let_go.?(walk.library);
    walk.thread = try std.Thread.spawn(.{}, Walk.run, .{walk});
    _ = walk.references.fetchAdd(1, .monotonic);
    walk.next = state.walks;
    state.walks = walk;
    return c.DSS_OK;
}

/// Does not join: the thread may be waiting for room, which only the Lua thread makes.
fn close(_: c.dss_call, walk: ?*Walk, _: []const c.dss_value) !c_int {
    walk.?.closed.store(true, .release);
    return c.DSS_OK;
}

fn drop(data: ?*anyopaque) callconv(.c) void {
    @as(*Walk, @ptrCast(@alignCast(data))).drop();
}

fn open(api: [*c]const c.dss_api, _: c.dss_call, data: [*c]?*anyopaque) callconv(.c) c_int {
    const state = allocator.create(State) catch return c.DSS_OUT_OF_MEMORY;
    state.* = .{};
    data.* = state;
    dss = api;
    return c.DSS_OK;
}

fn closing(data: ?*anyopaque, _: c.dss_library) callconv(.c) void {
    @as(*State, @ptrCast(@alignCast(data))).join(.all);
}

fn release(data: ?*anyopaque) callconv(.c) void {
    closing(data, 0);
    allocator.destroy(@as(*State, @ptrCast(@alignCast(data))));
}

/// A function of C that runs one of Zig, whose errors become Lua errors.
fn exposed(comptime run: fn (c.dss_call, ?*Walk, []const c.dss_value) anyerror!c_int) c.dss_function {
    return struct {
        fn entry(call: c.dss_call, self: ?*anyopaque, first: [*c]const c.dss_value, count: usize) callconv(.c) c_int {
            const arguments = if (count == 0) &.{} else first[0..count];
            return run(call, @ptrCast(@alignCast(self)), arguments) catch |err| fail(call, "{s}", .{@errorName(err)});
        }
    }.entry;
}

fn fail(call: c.dss_call, comptime format: []const u8, values: anytype) c_int {
    const message = std.fmt.allocPrint(allocator, "zigsum: " ++ format, values) catch return c.DSS_OUT_OF_MEMORY;
    defer allocator.free(message);
    return dss.raise.?(call, &text(message));
}

fn check(code: c_int) !void {
    return switch (code) {
        c.DSS_OK => {},
        c.DSS_OUT_OF_MEMORY => error.OutOfMemory,
        else => error.Closed,
    };
}

fn text(bytes: []const u8) c.dss_value {
    return c.dss_bytes(bytes.ptr, bytes.len);
}

const functions = [_]c.dss_method{ .{ .name = "start", .run = exposed(start) }, .{} };
const class: c.dss_class = .{ .size = @sizeOf(c.dss_class), .name = "Walk", .close = exposed(close), .drop = drop };
const classes = [_][*c]const c.dss_class{ &class, null };
// So short a wait, because `close` does not end it.
const limits: c.dss_limits = .{ .size = @sizeOf(c.dss_limits), .policy = c.DSS_WAIT, .items = 256, .wait_ns = 50_000_000 };
const definition: c.dss_definition = .{
    .size = @sizeOf(c.dss_definition),
    .functions = &functions,
    .classes = &classes,
    .limits = &limits,
    .open = open,
    .closing = closing,
    .release = release,
};

// DSS_LIBRARY and DSS_DESCRIBE: Zig cannot translate macros that declare something.

const sections: [2][]const u8 = switch (builtin.object_format) {
    .coff => .{ ".dsslib", ".dssdoc" },
    .macho => .{ "__DATA,__dss_library", "__DATA,__dss_doc" },
    else => .{ ".dss.library", ".dss.doc" },
};

fn field(comptime size: usize, comptime string: []const u8) [size]u8 {
    return (string ++ @as([size - string.len]u8, @splat(0))).*;
}

export const dss_library_c2v0_declaration: c.struct_dss_declaration linksection(sections[0]) = .{
    .magic = field(8, "DSS\x00LIB"),
    .size = @sizeOf(c.struct_dss_declaration),
    .revision = 3,
    .flags = 3,
    .interface_ = field(16, c.DSS_INTERFACE),
    .abi = field(16, "0.11"),
    .name = field(64, "zigsum"),
    .version = field(32, "1.0.0"),
    .requires_ = field(64, "^2.1"),
    .compiler = field(64, "zig " ++ builtin.zig_version_string),
    .header = field(16, c.DSS_INTERFACE),
};

export fn dss_library_c2v0() *const c.dss_definition {
    return &definition;
}

// Exported, because linkers drop what nothing refers to.
export const dss_doc_zigsum linksection(sections[1]) = ("start\n" ++
    "fun(folder: string, file: fun(path: string, sum?: string, size: integer|string), " ++
    "done: fun(err?: string, files: integer, bytes: integer)): Walk\n" ++
    "Computes the BLAKE3 sums of all files in a folder, on a thread.\x00" ++
    "Walk:close\nfun()\nEnds the walk early. done gets an error.").*;
