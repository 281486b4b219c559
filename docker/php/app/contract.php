<?php
// The session contract (docker/CONTRACT.md) over PHP's own sessions or those of a framework. It does not know which, nor where they
// are kept, and locks nothing itself.
declare(strict_types=1);

/** A session of a request, as one stack keeps it. */
interface Sessions
{
    /** What the session holds that the request names; null where there is none, and then none is left behind. */
    public function load(): ?array;

    /** A session under a new id; the one that the request names is ended. */
    public function begin(): void;

    /** The session that was loaded gets another id, and its old one is forgotten. */
    public function renew(): void;

    /** Keeps what the session holds now. */
    public function keep(array $held): void;

    /** Ends the session that was loaded. */
    public function end(): void;

    /** How many sessions this node has itself. */
    public function count(): int;
}

/** What is answered instead of a state. */
final class Refusal extends Exception
{
}

final class Contract
{
    private const EMPTY_DIGEST = 'cbf29ce484222325';
    private const TAIL = 8;
    private const MAX_BYTES = 4194304;
    private const MAX_HOLD_MS = 60000;

    public function __construct(private Sessions $sessions)
    {
    }

    /** Answers a request with a status and what to say as JSON, or nothing. */
    public function answer(string $method, string $path, string $body, array $query): array
    {
        try {
            return match ("$method $path") {
                'POST /session' => $this->create($this->object($body)),
                'POST /session/log-in' => $this->log_in($this->object($body)),
                'POST /session/ops' => $this->append($this->object($body)),
                'GET /session' => $this->read($query['hold_ms'] ?? '0'),
                'POST /session/log-out' => $this->log_out(),
                'GET /health' => $this->reply(200, ['members' => [getenv('NODE')]]),
                'GET /internals' => $this->internals(),
                default => throw new Refusal('no such call', 404),
            };
        } catch (Refusal $refusal) {
            return $this->reply($refusal->getCode(), ['error' => $refusal->getMessage()]);
        }
    }

    private function create(array $body): array
    {
        [$owner, $bytes] = [$body['owner'] ?? null, $body['bytes'] ?? null];
        if (!is_string($owner) || !$this->is_within($bytes, self::MAX_BYTES)) {
            throw new Refusal('POST /session takes {"owner": text, "bytes": 0 to 4194304}', 400);
        }
        $this->sessions->begin();
        $epoch = bin2hex(random_bytes(8));
        return $this->show([
            'owner' => $owner, 'epoch' => $epoch, 'version' => 0, 'digest' => self::EMPTY_DIGEST, 'tail' => [],
            'payload' => $this->bytes_of($epoch, $bytes), 'changing' => '',
        ]);
    }

    private function log_in(array $body): array
    {
        $owner = $body['owner'] ?? null;
        if (!is_string($owner) || $owner === '') {
            throw new Refusal('POST /session/log-in takes {"owner": text}', 400);
        }
        $held = $this->load();
        $this->sessions->renew();
        return $this->show(['owner' => $owner] + $held);
    }

    private function append(array $body): array
    {
        [$op, $bytes, $hold] = [$body['op'] ?? null, $body['bytes'] ?? 0, $body['hold_ms'] ?? 0];
        $is_op = is_string($op) && $op !== '' && strlen($op) <= 64;
        if (!$is_op || !$this->is_within($bytes, self::MAX_BYTES) || !$this->is_within($hold, self::MAX_HOLD_MS)) {
            throw new Refusal('POST /session/ops takes {"op": 1 to 64 characters, "bytes": 0 to 4194304, or none, "hold_ms": 0 to 60000, or none}', 400);
        }
        $held = $this->load();
        $this->hold($hold);
        $held['version']++;
        $held['digest'] = hash('fnv1a64', hex2bin($held['digest']) . $op);
        $held['tail'] = array_slice([...$held['tail'], $op], -self::TAIL);
        if ($bytes > 0) {
            $held['changing'] = $this->bytes_of($op, $bytes);
        }
        return $this->show($held);
    }

    private function read(string $hold): array
    {
        if (!ctype_digit($hold) || !$this->is_within((int) $hold, self::MAX_HOLD_MS)) {
            throw new Refusal('GET /session takes `hold_ms`, 0 to 60000, or nothing', 400);
        }
        $held = $this->load();
        $this->hold((int) $hold);
        return $this->show($held);
    }

    private function log_out(): array
    {
        $this->load();
        $this->sessions->end();
        return [204, null];
    }

    private function internals(): array
    {
        gc_collect_cycles();
        $sessions = ['primary' => $this->sessions->count(), 'backup' => 0, 'proxy' => 0];
        return $this->reply(200, ['heap_bytes' => memory_get_usage(), 'sessions' => $sessions]);
    }

    /** What the session holds that the request names. */
    private function load(): array
    {
        return $this->sessions->load() ?? throw new Refusal('unknown-session', 404);
    }

    /** Between loading a session and saving it: what an application does there may take as long. */
    private function hold(int $ms): void
    {
        usleep($ms * 1000);
    }

    /** Keeps the session, and shows it. */
    private function show(array $held): array
    {
        $this->sessions->keep($held);
        $payload = $held['payload'] . $held['changing'];
        return $this->reply(200, [
            'owner' => $held['owner'],
            'epoch' => $held['epoch'],
            'version' => $held['version'],
            'digest' => $held['digest'],
            'tail' => $held['tail'],
            'payload' => ['bytes' => strlen($payload), 'crc32' => hash('crc32b', $payload)],
        ]);
    }

    private function reply(int $status, array $body): array
    {
        return [$status, ['node' => getenv('NODE'), 'boot' => getenv('BOOT')] + $body];
    }

    private function object(string $body): array
    {
        $object = json_decode($body, true);
        return is_array($object) ? $object : throw new Refusal('the body is no JSON object', 400);
    }

    private function is_within(mixed $number, int $most): bool
    {
        return is_int($number) && $number >= 0 && $number <= $most;
    }

    /** The bytes of a text: a linear congruential generator whose seed is its CRC-32. */
    private function bytes_of(string $text, int $count): string
    {
        $x = crc32($text);
        $bytes = '';
        for ($i = 0; $i < $count; $i++) {
            $x = (1664525 * $x + 1013904223) & 0xffffffff;
            $bytes .= chr($x >> 24);
        }
        return $bytes;
    }
}
