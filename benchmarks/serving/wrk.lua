-- Sends the bodies of a folder in turn and prints what was measured as one line of JSON.
--   wrk … -s wrk.lua URL -- FOLDER COUNT RATE NAME=VALUE …      (headers)
-- RATE is requests a second on one timetable for all connections; 0 sends as fast as they are answered.

local ffi = require("ffi")
ffi.cdef [[
    typedef struct { long seconds, nanoseconds; } moment;
    int clock_gettime(int clock, moment *now);
]]
local MONOTONIC = 1
local requests, at = {}, 0
local moment, due, period = ffi.new("moment"), 0, 0

local function milliseconds()
    ffi.C.clock_gettime(MONOTONIC, moment)
    return tonumber(moment.seconds) * 1e3 + tonumber(moment.nanoseconds) / 1e6
end

function init(args)
    local headers = {}
    if tonumber(args[3]) > 0 then
        period, due = 1e3 / tonumber(args[3]), milliseconds()
    else
        delay = nil
    end
    for i = 4, #args do
        local name, value = args[i]:match("^([^=]+)=(.*)$")
        headers[name] = value
    end
    for i = 1, tonumber(args[2]) do
        local file = assert(io.open(args[1] .. "/" .. (i - 1), "rb"))
        requests[i] = wrk.format("POST", nil, headers, file:read("*a"))
        file:close()
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

-- Milliseconds until the next moment of the timetable; what is late goes at once.
function delay()
    due = due + period
    return math.max(0, math.floor(due - milliseconds() + 0.5))
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests": %d, "seconds": %.6f, "p50": %.6f, "p99": %.6f, "longest": %.6f, "errors": %d, "refused": %d}\n',
        summary.requests, summary.duration / 1e6,
        latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, latency.max / 1e6,
        errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
