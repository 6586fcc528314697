import { createHash } from "node:crypto";
import { WAITING_LINE } from "./servers.ts";

/** The input of HAProxy's gate. */
export interface GateInput {
  /** Seconds that a client waits for a server that takes it. */
  readonly waitSeconds: number;
  /** The role that asks a server whether it accepts. The question ends before a password is sent. */
  readonly role: string;
  /** Sessions that a node takes from both endpoints together; no limit for a node that is not named. */
  readonly sessions: Readonly<Record<string, number>>;
}

/** The application name by which a server's log tells the gate's questions from clients. */
export const GATE_APPLICATION = "odoo-pg endpoint";

/**
 * The command that shows how many clients wait, a line for each endpoint: name, clients, milliseconds of the longest
 * wait.
 */
export const WAITING_COMMAND = "show odoo-pg waiting";

/**
 * The command that tells a worker how many sessions of each node are still carried by workers from before a reload, which it
 * cannot see: `set odoo-pg carried pg1=20 pg2=0`.
 */
export const CARRIED_COMMAND = "set odoo-pg carried";
/** Milliseconds for which that holds, and that a new worker waits for it before it connects any client. */
const CARRIED_MS = 10_000;
const UNTOLD_MS = 1000;

/**
 * The order that tells how many connections of a node users hold past the endpoints, which have so many less:
 * `set odoo-pg others pg1=20`. The agent alone sees them; and where only connections are left that are kept for
 * superusers, a server says so after the password, which the gate's question does not reach. It holds as long as the
 * order above.
 */
export const OTHERS_COMMAND = "set odoo-pg others";

/**
 * The order that has new clients wait instead of being led to a node that is about to be stopped, for so many milliseconds,
 * and at most for half of the time that a client waits: `set odoo-pg hold pg1=15000`, and 0 to end it. It ends by itself,
 * so that no client waits for an agent that is gone.
 */
export const HOLD_COMMAND = "set odoo-pg hold";

/**
 * The command that shows how long servers took to answer the gate's question, a line for each node: name, milliseconds of
 * the slowest answer of the last ten seconds. A login takes some times as long, on a busy machine too.
 */
export const ANSWERS_COMMAND = "show odoo-pg answers";
const SLOWEST_MS = 10_000;

/** Clients that try at the same time after a server has accepted again, milliseconds between two tries, seconds for one. */
const AT_ONCE = 16;
const EVERY_MS = 50;
const ANSWER_SECONDS = 3;
/** Milliseconds that a question takes at most. */
const QUESTION_MS = ANSWER_SECONDS * 1000 + 500;
/** Milliseconds without a sign of a client that waits: more than one question can take. */
const FORGOTTEN_MS = 15_000;

/** Relative to the state directory. Named by its contents, so that a running worker never reads another version. */
export function gateFile(input: GateInput): string {
  const hash = createHash("sha256").update(renderGate(input)).digest("hex").slice(0, 16);
  return `haproxy/gate-${hash}.lua`;
}

/** Matches the names of these files in their folder. */
export const GATE_FILES = /^gate-[0-9a-f]{16}\.lua$/;

/**
 * What HAProxy does with a new connection before it chooses a server (Lua, HAProxy 2.4 and later). A server that is
 * starting, recovering, shutting down or full accepts the connection and then refuses the client (57P03, 53300), which
 * HAProxy cannot take back. So the gate asks first, by a startup packet of its own: until a server asks for the password,
 * the client waits. The client that has waited longest goes first.
 *
 * It sets one variable of the transaction: `server` to be used, `next` where a newer worker has taken over, `gone` when the
 * client went away, `late` at the timeout.
 */
export function renderGate(input: GateInput): string {
  const sessions = Object.entries(input.sessions)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([node, count]) => `[${luaString(node)}] = ${count}`);
  return `-- Made by odoo-pg. Changes are lost: change odoo-pg.yaml and run odoo-pg up.
local LIMIT_MS = ${Math.round(input.waitSeconds * 1000)}
local SESSIONS = { ${sessions.join(", ")} }
local QUESTION = "user\\0" .. ${luaString(input.role)} .. "\\0database\\0postgres\\0application_name\\0${GATE_APPLICATION}\\0\\0"
QUESTION = string.pack(">I4I4", #QUESTION + 8, 196608) .. QUESTION

local waiting = { write = {}, read = {} }
local answered = { write = true, read = true }
local chosen, turn = {}, 0
local carried, told_at, born = {}, nil, nil
local others = {}
local held = {}
local answers = {}

local function milliseconds()
  local now = core.now()
  return now.sec * 1000 + now.usec // 1000
end

local function node_of(server)
  return (server:gsub("%-fallback$", ""))
end

-- Sessions that workers from before a reload have on a node, as last told; not for long where nobody tells any more.
local function carried_on(node, now)
  return told_at and told_at + ${CARRIED_MS} > now and carried[node] or 0
end

-- Connections that others hold on a node, as last told; the same.
local function others_on(node, now)
  local told = others[node]
  return told and told.at + ${CARRIED_MS} > now and told.connections or 0
end

-- Whether a node takes no new client, as it is about to be stopped.
local function is_held(node, now)
  return (held[node] or 0) > now
end

local function note_answer(node, begun)
  local now = milliseconds()
  local slowest = answers[node]
  if not slowest or slowest.at + ${SLOWEST_MS} < now or slowest.ms <= now - begun then
    answers[node] = { at = now, ms = now - begun }
  end
end

-- Places of a node that are others': who asks it now gets a session there, which counts when it is begun; and who has
-- waited longer looks again in a moment.
local function promised(node, backend, ticket, now)
  local count = 0
  for endpoint, queue in pairs(waiting) do
    local longer = endpoint == backend
    for place = 1, math.min(#queue, ${AT_ONCE}) do
      local other = queue[place]
      if other == ticket then longer = false
      elseif other.heard + ${QUESTION_MS} > now and (other.asks == node or longer and not other.asks) then
        count = count + 1
      end
    end
  end
  return count
end

local function is_told(now)
  born = born or now
  return told_at ~= nil or born + ${UNTOLD_MS} < now
end

-- All servers of both endpoints, looked at once: each look at one is dear.
local function look()
  local servers, sessions = { write = {}, read = {} }, {}
  for backend, found in pairs(servers) do
    for name, server in pairs(core.backends[backend].servers) do
      if name ~= ${luaString(WAITING_LINE)} then
        local stats, node = server:get_stats(), node_of(name)
        sessions[node] = (sessions[node] or 0) + stats.scur
        if stats.status:sub(1, 2) == "UP" or stats.status == "no check" then
          table.insert(found, { name = name, node = node, server = server, sessions = stats.scur })
        end
      end
    end
  end
  return servers, sessions
end

-- Who has the fewest sessions first, then who was chosen longest ago; the primary for reads last.
local function in_order(servers)
  local function before(a, b)
    if (a.name == a.node) ~= (b.name == b.node) then return a.name == a.node end
    if a.sessions ~= b.sessions then return a.sessions < b.sessions end
    return (chosen[a.name] or 0) < (chosen[b.name] or 0)
  end
  table.sort(servers, before)
  return servers
end

local function ask(tcp, ...)
  if not tcp:connect(...) or not tcp:send(QUESTION) then return false end
  local kind = tcp:receive(1)
  if kind ~= "E" then return kind ~= nil end
  local length = tcp:receive(4)
  local fields = length and tcp:receive(string.unpack(">I4", length) - 4) or "C57P03\\0"
  return not (fields:find("C57P03\\0", 1, true) or fields:find("C53300\\0", 1, true))
end

local function accepts(server)
  local address = server:get_addr() or ""
  local host, port = address:match("^%[?([^/]-)%]?:(%d+)$")
  local is_path = address:find("/", 1, true)
  if not is_path and (not host or host == "") then return false end
  local tcp = core.tcp()
  tcp:settimeout(${ANSWER_SECONDS})
  local accepted
  if is_path then accepted = ask(tcp, "unix@" .. address) else accepted = ask(tcp, host, tonumber(port)) end
  tcp:close()
  return accepted
end

-- HAProxy may end a connection while it waits here, without a word: who is not heard of for a while waits no longer.
local function place_of(queue, ticket, now)
  for place = #queue, 1, -1 do
    if queue[place].heard + ${FORGOTTEN_MS} < now then table.remove(queue, place) end
  end
  for place, other in ipairs(queue) do
    if other == ticket then return place end
  end
  table.insert(queue, ticket)
  return #queue
end

local function try(backend, ticket)
  local servers, sessions = look()
  local now = milliseconds()
  if not is_told(now) then return nil end
  for _, found in ipairs(in_order(servers[backend])) do
    local taken = sessions[found.node] + carried_on(found.node, now) + others_on(found.node, now)
    local is_free = taken + promised(found.node, backend, ticket, now) < (SESSIONS[found.node] or math.huge)
    if is_free and not is_held(found.node, now) then
      -- Before it is asked: others may choose meanwhile.
      turn = turn + 1
      chosen[found.name] = turn
      ticket.asks = found.node
      local begun = milliseconds()
      answered[backend] = accepts(found.server)
      if answered[backend] then note_answer(found.node, begun) end
      if answered[backend] and not is_held(found.node, milliseconds()) then return found.name end
      ticket.asks = nil
    end
  end
end

local function wait(txn, backend, queue, ticket)
  while true do
    local now = milliseconds()
    ticket.heard = now
    if core.get_info().Stopping == 1 then return "next", "1" end
    if txn.req.may_recv and not txn.req:may_recv() then return "gone", "1" end
    if place_of(queue, ticket, now) <= (answered[backend] and ${AT_ONCE} or 1) then
      local server = try(backend, ticket)
      if server then return "server", server end
    end
    if milliseconds() - ticket.since >= LIMIT_MS then return "late", "1" end
    core.msleep(${EVERY_MS})
  end
end

core.register_action("gate", { "tcp-req" }, function(txn, backend)
  local queue, now = waiting[backend], milliseconds()
  local ticket = { since = now, heard = now }
  local name, value = wait(txn, backend, queue, ticket)
  now = milliseconds()
  ticket.heard = now
  table.remove(queue, place_of(queue, ticket, now))
  txn:set_var("txn." .. name, value)
end, 1)

-- The client is told in its own protocol. A request for encryption is answered with no: the words are no secret.
core.register_service("refuse", "tcp", function(applet)
  local first = applet:receive(8)
  local code = #first == 8 and select(2, string.unpack(">I4I4", first)) or 0
  if code == 80877103 or code == 80877104 then
    applet:send("N")
    applet:receive(8)
  end
  local fields = "SFATAL\\0VFATAL\\0C08001\\0MNo server took this connection within " .. LIMIT_MS // 1000
    .. " s: it was down, starting, or full.\\0HAsk who runs the database to look at: odoo-pg status\\0\\0"
  applet:send("E" .. string.pack(">I4", #fields + 4) .. fields)
end)

core.register_cli({ "set", "odoo-pg", "carried" }, "${CARRIED_COMMAND} NODE=SESSIONS...: sessions of older workers", function(applet, ...)
  carried, told_at = {}, milliseconds()
  for _, word in ipairs({ ... }) do
    local node, sessions = word:match("^(.-)=(%d+)$")
    if node then carried[node] = tonumber(sessions) end
  end
end)

core.register_cli({ "set", "odoo-pg", "others" }, "${OTHERS_COMMAND} NODE=CONNECTIONS...: connections past the endpoints", function(applet, ...)
  for _, word in ipairs({ ... }) do
    local node, connections = word:match("^(.-)=(%d+)$")
    if node then others[node] = { at = milliseconds(), connections = tonumber(connections) } end
  end
end)

core.register_cli({ "set", "odoo-pg", "hold" }, "${HOLD_COMMAND} NODE=MILLISECONDS...: new clients wait", function(applet, ...)
  for _, word in ipairs({ ... }) do
    local node, ms = word:match("^(.-)=(%d+)$")
    if node then held[node] = milliseconds() + math.min(tonumber(ms), LIMIT_MS // 2) end
  end
end)

core.register_cli({ "show", "odoo-pg", "answers" }, "${ANSWERS_COMMAND}: how long servers took to answer", function(applet)
  local now = milliseconds()
  for node, slowest in pairs(answers) do
    if slowest.at + ${SLOWEST_MS} >= now then applet:send(node .. "," .. slowest.ms .. "\\n") end
  end
end)

core.register_cli({ "show", "odoo-pg", "waiting" }, "${WAITING_COMMAND}: clients that wait for a server", function(applet)
  local now = milliseconds()
  for _, endpoint in ipairs({ "write", "read" }) do
    local clients, longest = 0, 0
    for _, ticket in ipairs(waiting[endpoint]) do
      if ticket.heard + ${FORGOTTEN_MS} >= now then
        clients = clients + 1
        longest = math.max(longest, now - ticket.since)
      end
    end
    applet:send(endpoint .. "," .. clients .. "," .. longest .. "\\n")
  end
end)
`;
}

/** Any text as a string of Lua: each byte that is not a plain letter or digit by its number. */
function luaString(text: string): string {
  const bytes = [...Buffer.from(text, "utf8")].map((byte) => {
    const letter = String.fromCharCode(byte);
    return /[A-Za-z0-9_-]/.test(letter) ? letter : `\\${String(byte).padStart(3, "0")}`;
  });
  return `"${bytes.join("")}"`;
}
