<?php
// The contract over Symfony's session, used as its documentation does.
declare(strict_types=1);

require __DIR__ . '/send.php';
require __DIR__ . '/handler.php';

use Symfony\Component\HttpFoundation\Session\Session;
use Symfony\Component\HttpFoundation\Session\Storage\NativeSessionStorage;

final class SymfonySessions implements Sessions
{
    private Session $session;

    public function __construct(SessionHandlerInterface $handler)
    {
        $this->session = new Session(new NativeSessionStorage(['cookie_httponly' => true], $handler));
    }

    public function load(): ?array
    {
        if (!isset($_COOKIE[session_name()])) {
            return null;
        }
        if ($this->session->has('epoch')) {
            return $this->session->all();
        }
        // One is not made by asking for it.
        session_abort();
        header_remove('Set-Cookie');
        return null;
    }

    public function begin(): void
    {
        $this->session->start();
        $this->session->invalidate();
    }

    public function renew(): void
    {
        $this->session->migrate(true);
    }

    public function keep(array $held): void
    {
        $this->session->replace($held);
        $this->session->save();
    }

    public function end(): void
    {
        $this->session->invalidate();
        $this->session->save();
    }

    public function count(): int
    {
        return 0;
    }
}

$is_of_a_session = str_starts_with(strtok($_SERVER['REQUEST_URI'], '?'), '/session');
answer(new SymfonySessions($is_of_a_session ? handler() : new SessionHandler()));
