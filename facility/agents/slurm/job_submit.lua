-- Jobs that may be deferred wait a little for their first order; where none comes, Slurm starts them by itself.
-- To be used as job_submit.lua beside slurm.conf, with JobSubmitPlugins=lua; or its two lines in the one that is there.

local LABEL = "@LABEL@"
local WAIT_S = @WAIT_S@

local function says(comment)
  return comment ~= nil and (" " .. comment .. " "):find(" " .. LABEL .. " ", 1, true) ~= nil
end

function slurm_job_submit(job, partitions, user)
  if says(job.comment) and (job.begin_time or 0) == 0 then
    job.begin_time = os.time() + WAIT_S
    job.comment = job.comment .. " wait"
  end
  return slurm.SUCCESS
end

function slurm_job_modify(job, before, partitions, user)
  return slurm.SUCCESS
end

return slurm.SUCCESS
