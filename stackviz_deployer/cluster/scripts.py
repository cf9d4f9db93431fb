# SPDX-License-Identifier: Apache-2.0
"""What must happen in Redis at once: Lua scripts, and how one is run.

Keys are built from the prefix inside the scripts: this is for one Redis (with replicas), not for a
Redis Cluster.
"""

from __future__ import annotations

import hashlib
from typing import Any

from attrs import field, frozen

from stackviz_deployer.cluster.link import Link, RefusedError


@frozen
class Script:
    """One script; it is sent whole only to a server that does not know it."""

    text: str
    sha: str = field(init=False)

    @sha.default
    def _sha(self) -> str:
        return hashlib.sha1(self.text.encode()).hexdigest()  # noqa: S324 - Redis' name for it, no secret

    async def run(self, link: Link, keys: tuple[str, ...], *args: str | int) -> Any:
        """Its answer.  Raises AwayError, RefusedError."""
        try:
            return await link.call("EVALSHA", self.sha, len(keys), *keys, *args)
        except RefusedError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        return await link.call("EVAL", self.text, len(keys), *keys, *args)


OFFER = Script("""
-- KEYS: queue, offered.  ARGV: ids.  How many were not there.
local new = 0
for _, id in ipairs(ARGV) do
  local entry = redis.call('HGET', KEYS[2], id)
  local found = entry and redis.pcall('XRANGE', KEYS[1], entry, entry)
  if not found or found.err or #found == 0 then
    redis.call('HSET', KEYS[2], id, redis.call('XADD', KEYS[1], '*', 'id', id))
    new = new + 1
  end
end
return new
""")

LEASE = Script("""
-- KEYS: queue, offered, lease.  ARGV: group, id, entry, node, ms.  1 when the task is the node's now.
-- Of a task that is there twice the entry goes that is not the noted one.
local noted = redis.call('HGET', KEYS[2], ARGV[2])
if noted ~= ARGV[3] then
  local found = noted and redis.pcall('XRANGE', KEYS[1], noted, noted)
  if found and not found.err and #found > 0 then
    redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
    redis.call('XDEL', KEYS[1], ARGV[3])
    return 0
  end
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
end
local who = redis.call('GET', KEYS[3])
if who and who ~= ARGV[4] then return 0 end
redis.call('SET', KEYS[3], ARGV[4], 'PX', ARGV[5])
return 1
""")

RENEW = Script("""
-- KEYS: queue, offered, alive.  ARGV: prefix of leases, group, node, ms, ids.
-- The ids that are another node's.  Something is written even without ids: to see whether that is let.
redis.call('SET', KEYS[3], 1, 'PX', ARGV[4])
local lost = {}
for n = 5, #ARGV do
  local id, lease = ARGV[n], ARGV[1] .. ARGV[n]
  local who = redis.call('GET', lease)
  if who and who ~= ARGV[3] then
    lost[#lost + 1] = id
  else
    redis.call('SET', lease, ARGV[3], 'PX', ARGV[4])
    local entry = redis.call('HGET', KEYS[2], id)
    if entry then redis.pcall('XCLAIM', KEYS[1], ARGV[2], ARGV[3], 0, entry, 'JUSTID') end
  end
end
return lost
""")

SETTLE = Script("""
-- KEYS: queue, offered, lease, progress.  ARGV: group, id, node or ''.
-- With a node: only when the task is not another's.
local who = redis.call('GET', KEYS[3])
if ARGV[3] ~= '' and who and who ~= ARGV[3] then return 0 end
local entry = redis.call('HGET', KEYS[2], ARGV[2])
if entry then
  redis.pcall('XACK', KEYS[1], ARGV[1], entry)  -- it may be no entry's id, or the queue gone
  redis.pcall('XDEL', KEYS[1], entry)
  redis.call('HDEL', KEYS[2], ARGV[2])
end
redis.call('DEL', KEYS[3], KEYS[4])
return 1
""")

HAND_OVER = Script("""
-- KEYS: queue, offered, lease, progress.  ARGV: group, id, node, channel, message.
-- The claim looks forgotten for a day, so that whoever looks next takes it over.
local who = redis.call('GET', KEYS[3])
if who and who ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[3], KEYS[4])
local entry = redis.call('HGET', KEYS[2], ARGV[2])
if entry then
  redis.pcall('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, entry, 'IDLE', 86400000, 'JUSTID')
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1
""")

PROGRESS = Script("""
-- KEYS: progress.  ARGV: channel, message, progress, seconds.
redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])
return redis.call('PUBLISH', ARGV[1], ARGV[2])
""")

LEAVE = Script("""
-- KEYS: queue.  ARGV: group, node, prefix of leases.
-- What was given to the node and is not worked on looks forgotten.  How many.
local left = 0
local ok = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000, ARGV[2])
if ok.err then return 0 end
for _, pending in ipairs(ok) do
  local entry = redis.call('XRANGE', KEYS[1], pending[1], pending[1])[1]
  if entry and redis.call('GET', ARGV[3] .. entry[2][2]) ~= ARGV[2] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, pending[1], 'IDLE', 86400000, 'JUSTID')
    left = left + 1
  end
end
return left
""")

TIDY = Script("""
-- KEYS: queue.  ARGV: group, ms.  Forgets consumers that were idle for so long and hold nothing; how many.
local gone = 0
for _, facts in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local of = {}
  for n = 1, #facts, 2 do of[facts[n]] = facts[n + 1] end
  if of.pending == 0 and of.idle > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], of.name)
    gone = gone + 1
  end
end
return gone
""")
