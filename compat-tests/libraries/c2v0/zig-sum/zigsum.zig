//! zigsum: the BLAKE3 sum of a file, computed on a thread.
//!
//!   local zigsum = require("darksidesync").load("zigsum")
//!   local job = zigsum.start(path, function(err, sum, size) ... end)
//!   job:close() -- ends it early: err is "Closed". Keep the job: one that is collected is closed

const std = @import("std");
const c = @import("dss"); // dss.h, by `zig translate-c`

const allocator = std.heap.c_allocator;
const io = std.Io.Threaded.global_single_threaded.io(); // it makes no threads and sets no signal handlers
var table: std.atomic.Value(*const c.dss_api) = .init(undefined); // atomic, because two states may load the library at once

fn dss() *const c.dss_api {
    return table.load(.monotonic);
}

const Job = struct {
    library: c.dss_library,
    done: c.dss_callback,
    file: std.Io.File,
    closed: std.atomic.Value(bool) = .init(false),
    thread: std.Thread = undefined,

    fn run(job: *Job) void {
        var sum: [64]u8 = undefined;
        const values: [3]c.dss_value = if (job.hash(&sum)) |size|
            .{ c.dss_nil(), c.dss_bytes(&sum, sum.len), c.dss_integer(size) }
        else |err|
            .{ c.dss_string(@errorName(err)), c.dss_nil(), c.dss_nil() };
        const delivery = c.dss_to(job.done, &values, values.len);
        _ = dss().deliver.?(job.library, &delivery, null); // if it is refused, the state closes, and nobody is left to tell
        job.file.close(io);
        dss().release.?(job.done);
        dss().let_go.?(job.library);
    }

    fn hash(job: *Job, sum: *[64]u8) !i64 {
        var blake3: std.crypto.hash.Blake3 = .init(.{});
        var digest: [32]u8 = undefined;
        var block: [64 * 1024]u8 = undefined;
        var size: u63 = 0;
        while (!job.closed.load(.acquire)) {
            const count = try job.file.readPositional(io, &.{&block}, size);
            if (count == 0) break;
            blake3.update(block[0..count]);
            size += @intCast(count);
        } else return error.Closed;
        blake3.final(&digest);
        sum.* = std.fmt.bytesToHex(digest, .lower);
        return size;
    }
};

fn start(call: c.dss_call, _: ?*anyopaque, arguments: [*c]const c.dss_value, count: usize) callconv(.c) c_int {
    if (count < 1 or arguments[0].kind != c.DSS_STRING) return dss().bad_argument.?(call, 1, "a string");
    if (count < 2 or arguments[1].kind != c.DSS_CALLBACK) return dss().bad_argument.?(call, 2, "a function");
    const path = arguments[0].as.string[0..arguments[0].size];
    const job = spawn(path, arguments[1].as.callback, dss().library.?(call)) catch |err|
        return dss().raise.?(call, &c.dss_string(@errorName(err)));
    const object: c.dss_object = .{ .cls = &class, .data = job };
    const code = dss().result.?(call, &c.dss_object_value(&object));
    if (code != c.DSS_OK) drop(job); // it is still ours
    return code;
}

fn spawn(path: []const u8, done: c.dss_callback, library: c.dss_library) !*Job {
    const job = try allocator.create(Job);
    errdefer allocator.destroy(job);
    const file = try std.Io.Dir.cwd().openFile(io, path, .{});
    errdefer file.close(io);
    if (dss().retain.?(done) != c.DSS_OK) return error.Refused;
    errdefer dss().release.?(done);
    if (dss().hold.?(library) != c.DSS_OK) return error.Refused;
    errdefer dss().let_go.?(library);
    job.* = .{ .library = library, .done = done, .file = file };
    job.thread = try std.Thread.spawn(.{}, Job.run, .{job});
    return job;
}

fn close(_: c.dss_call, self: ?*anyopaque, _: [*c]const c.dss_value, _: usize) callconv(.c) c_int {
    @as(*Job, @ptrCast(@alignCast(self))).closed.store(true, .release);
    return c.DSS_OK;
}

/// Called where Lua collects the job or the state closes. The thread ends within a block.
fn drop(data: ?*anyopaque) callconv(.c) void {
    const job: *Job = @ptrCast(@alignCast(data));
    job.closed.store(true, .release);
    job.thread.join();
    allocator.destroy(job);
}

fn open(api: [*c]const c.dss_api, _: c.dss_call, _: [*c]?*anyopaque) callconv(.c) c_int {
    table.store(api, .monotonic);
    return c.DSS_OK;
}

const functions = [_]c.dss_method{ .{ .name = "start", .run = start }, .{} };
const class: c.dss_class = .{ .size = @sizeOf(c.dss_class), .name = "Job", .close = close, .drop = drop };
const classes = [_][*c]const c.dss_class{ &class, null };
const limits: c.dss_limits = .{ .size = @sizeOf(c.dss_limits), .items = c.UINT64_MAX, .bytes = c.UINT64_MAX }; // a job delivers once
const definition: c.dss_definition =
    .{ .size = @sizeOf(c.dss_definition), .functions = &functions, .classes = &classes, .limits = &limits, .open = open };

export fn dss_library_c2v0() *const c.dss_definition {
    return &definition;
}

/// What DSS_LIBRARY makes in C. Zig cannot translate macros that declare something.
export const dss_library_c2v0_declaration: c.struct_dss_declaration linksection(".dss.library") = .{
    .magic = field(8, "DSS\x00LIB"),
    .size = @sizeOf(c.struct_dss_declaration),
    .revision = c.DSS_REVISION,
    .flags = c.DSS_DECLARATION_FLAGS,
    .interface_ = field(16, c.DSS_INTERFACE),
    .abi = field(16, c.DSS_DECLARATION_ABI),
    .name = field(64, "zigsum"),
    .version = field(32, "1.0.0"),
    .requires_ = field(64, "^2.1"),
    .compiler = field(64, "zig " ++ @import("builtin").zig_version_string),
    .header = field(16, c.DSS_INTERFACE),
};

fn field(comptime size: usize, comptime string: []const u8) [size]u8 {
    return (string ++ @as([size - string.len]u8, @splat(0))).*;
}
