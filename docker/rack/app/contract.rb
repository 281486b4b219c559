# frozen_string_literal: true

require "json"
require "securerandom"
require "zlib"

# The session contract (docker/CONTRACT.md) over the session of a framework. It does not know which, nor where sessions are kept, and
# locks nothing itself.
#
# Of the sessions it asks: `load`, what the session holds that the request names, or nil; `begin`, a session under a new id; `renew`,
# another id for the one that was loaded; `keep`, what it holds now; `end`; and `leave` where nothing is to be saved.
class Contract
  EMPTY_DIGEST = 0xcbf29ce484222325
  PRIME = 0x100000001b3
  TAIL = 8
  MAX_BYTES = 4_194_304
  MAX_HOLD_MS = 60_000
  BOOT = SecureRandom.hex(8)

  # What is answered instead of a state.
  class Refusal < StandardError
    attr_reader :status

    def initialize(status, error)
      super(error)
      @status = status
    end
  end

  def initialize(sessions)
    @sessions = sessions
  end

  # Answers a request with a status and the text of a JSON object, or nothing.
  def answer(method, path, body, query)
    case [method, path]
    when %w[POST /session] then create(object(body))
    when %w[POST /session/log-in] then log_in(object(body))
    when %w[POST /session/ops] then append(object(body))
    when %w[GET /session] then read(query.fetch("hold_ms", "0"))
    when %w[POST /session/log-out] then log_out
    when %w[GET /health] then reply(200, members: [ENV["NODE"]])
    when %w[GET /internals] then internals
    else raise Refusal.new(404, "no such call")
    end
  rescue Refusal => e
    @sessions.leave
    reply(e.status, error: e.message)
  end

  private

  def create(body)
    owner, bytes = body.values_at("owner", "bytes")
    unless owner.is_a?(String) && within?(bytes, MAX_BYTES)
      raise Refusal.new(400, 'POST /session takes {"owner": text, "bytes": 0 to 4194304}')
    end

    # Ends the session of before, if there is one.
    @sessions.begin
    epoch = SecureRandom.hex(8)
    show("owner" => owner, "epoch" => epoch, "version" => 0, "digest" => EMPTY_DIGEST, "tail" => [],
         "payload" => bytes_of(epoch, bytes), "changing" => "")
  end

  def log_in(body)
    owner = body["owner"]
    raise Refusal.new(400, 'POST /session/log-in takes {"owner": text}') unless owner.is_a?(String) && !owner.empty?

    held = load
    @sessions.renew
    show(held.merge("owner" => owner))
  end

  def append(body)
    op = body["op"]
    bytes = body.fetch("bytes", 0)
    hold_ms = body.fetch("hold_ms", 0)
    is_op = op.is_a?(String) && op.length.between?(1, 64)
    unless is_op && within?(bytes, MAX_BYTES) && within?(hold_ms, MAX_HOLD_MS)
      raise Refusal.new(400, 'POST /session/ops takes {"op": 1 to 64 characters, "bytes": 0 to 4194304, or none, ' \
                             '"hold_ms": 0 to 60000, or none}')
    end

    held = load
    hold(hold_ms)
    held["version"] += 1
    held["digest"] = digest([held["digest"]].pack("Q>") + op)
    held["tail"] = (held["tail"] + [op]).last(TAIL)
    held["changing"] = bytes_of(op, bytes) if bytes.positive?
    show(held)
  end

  def read(text)
    hold_ms = Integer(text, 10, exception: false)
    raise Refusal.new(400, "GET /session takes `hold_ms`, 0 to 60000, or nothing") unless within?(hold_ms, MAX_HOLD_MS)

    held = load
    hold(hold_ms)
    show(held)
  end

  def log_out
    load
    @sessions.end
    [204, nil]
  end

  def internals
    GC.start
    heap = GC.stat(:heap_live_slots) * GC::INTERNAL_CONSTANTS[:RVALUE_SIZE] + GC.stat(:malloc_increase_bytes)
    reply(200, heap_bytes: heap, sessions: { primary: 0, backup: 0, proxy: 0 })
  end

  def load
    @sessions.load or raise Refusal.new(404, "unknown-session")
  end

  # Between loading a session and saving it: what an application does there may take as long.
  def hold(hold_ms)
    sleep(hold_ms / 1000.0) if hold_ms.positive?
  end

  # Keeps the session, and shows it.
  def show(held)
    @sessions.keep(held)
    payload = held["payload"] + held["changing"]
    reply(200,
          owner: held["owner"], epoch: held["epoch"], version: held["version"],
          digest: format("%016x", held["digest"]), tail: held["tail"],
          payload: { bytes: payload.bytesize, crc32: format("%08x", Zlib.crc32(payload)) })
  end

  def reply(status, body)
    [status, JSON.generate({ node: ENV["NODE"], boot: BOOT }.merge(body))]
  end

  def object(body)
    object = JSON.parse(body)
    raise Refusal.new(400, "the body is no JSON object") unless object.is_a?(Hash)

    object
  rescue JSON::ParserError
    raise Refusal.new(400, "the body is no JSON object")
  end

  def within?(number, most)
    number.is_a?(Integer) && number.between?(0, most)
  end

  # FNV-1a, 64 bits.
  def digest(bytes)
    bytes.each_byte.reduce(EMPTY_DIGEST) { |hash, byte| ((hash ^ byte) * PRIME) & 0xffffffffffffffff }
  end

  # The bytes of a text: a linear congruential generator whose seed is its CRC-32.
  def bytes_of(text, count)
    x = Zlib.crc32(text)
    Array.new(count) { (x = (1_664_525 * x + 1_013_904_223) & 0xffffffff) >> 24 }.pack("C*")
  end
end
