-- wrk's script: POST the requests of a file in turn. Its first argument after "--" is the file: requests with a line
-- "----" between them, each a path on the first line and the body after it. "@" in a request becomes a number that never
-- comes twice. Prints the counts as JSON.

local requests, place, number = {}, 0, 0
local headers = {["Content-Type"] = "application/json"}

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  for part in (file:read("*a") .. "\n----\n"):gmatch("(.-)\n%-%-%-%-\n") do
    local path, body = part:match("^([^\n]*)\n(.*)$")
    requests[#requests + 1] = {path, body}
  end
  file:close()
  number = tonumber(arguments[2]) -- the first number of this run
end

function request()
  place = place % #requests + 1
  number = number + 1
  local path, body = requests[place][1], requests[place][2]
  return wrk.format("POST", path, headers, (body:gsub("@", tostring(number))))
end

function done(summary, latency)
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  print(string.format('{"requests": %d, "not_2xx": %d, "broken": %d}', summary.requests, errors.status, broken))
end
