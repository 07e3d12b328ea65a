-- What each caller of `make bench-serving` sends, over and over: ten metrics of a step of one of the runs, as a training does; or, with BODY in the
-- environment, that, to PATH_ASKED. wrk (https://github.com/wg/wrk) calls these functions. It is told by the environment; its last line is JSON.

local runs = {}
for run in (os.getenv("RUNS") or ""):gmatch("%S+") do
   runs[#runs + 1] = run
end
local step = 0

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
if os.getenv("LOGIN") then
   wrk.headers["Authorization"] = os.getenv("LOGIN")
end

function request()
   if os.getenv("BODY") then
      return wrk.format(nil, os.getenv("PATH_ASKED"), nil, os.getenv("BODY"))
   end
   step = step + 1
   local metrics = {}
   for number = 1, 10 do
      metrics[number] = string.format('{"key":"m%d","value":%d.5,"timestamp":1700000000000,"step":%d}', number, step, step)
   end
   local body = string.format('{"run_id":"%s","metrics":[%s]}', runs[step % #runs + 1], table.concat(metrics, ","))
   return wrk.format(nil, "/api/2.0/mlflow/runs/log-batch", nil, body)
end

function done(summary, latency)
   local errors = summary.errors
   local failed = errors.status + errors.timeout + errors.connect + errors.read + errors.write
   io.write(string.format('{"requests":%d,"seconds":%f,"refused":%d,"failed":%d,"p99_s":%f}\n', summary.requests,
      summary.duration / 1e6, errors.status, failed, latency:percentile(99) / 1e6))
end
