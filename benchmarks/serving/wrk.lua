-- Sends the bodies of a folder in turn and prints what was measured as one line of JSON.
--   wrk … -s wrk.lua URL -- FOLDER COUNT NAME=VALUE …      (headers)

local requests, at = {}, 0

function init(args)
    local headers = {}
    for i = 3, #args do
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

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests": %d, "seconds": %.6f, "p50": %.6f, "p99": %.6f, "longest": %.6f, "errors": %d, "refused": %d}\n',
        summary.requests, summary.duration / 1e6,
        latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, latency.max / 1e6,
        errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
