<?php
// The contract over PHP's own session functions, used as the manual does.
declare(strict_types=1);

require __DIR__ . '/send.php';

final class PhpSessions implements Sessions
{
    public function load(): ?array
    {
        if (!isset($_COOKIE[session_name()])) {
            return null;
        }
        if (!session_start()) {
            throw new Refusal('the session cannot be loaded', 503);
        }
        if (!isset($_SESSION['epoch'])) {
            session_abort();
            header_remove('Set-Cookie');
            return null;
        }
        return $_SESSION;
    }

    public function begin(): void
    {
        if (!session_start() || !session_regenerate_id(true)) {
            throw new Refusal('the session cannot be made', 503);
        }
    }

    public function renew(): void
    {
        if (!session_regenerate_id(true)) {
            throw new Refusal('the id cannot be changed', 503);
        }
    }

    public function keep(array $held): void
    {
        $_SESSION = $held;
        if (!session_write_close()) {
            throw new Refusal('the session cannot be saved', 503);
        }
    }

    public function end(): void
    {
        $_SESSION = [];
        // As the manual has it: the cookie goes, and so does the session.
        setcookie(session_name(), '', ['expires' => time() - 42000, 'path' => '/', 'httponly' => true]);
        if (!session_destroy()) {
            throw new Refusal('the session cannot be ended', 503);
        }
    }

    public function count(): int
    {
        // Between requests PHP keeps no session; files are this node's own.
        return ini_get('session.save_handler') === 'files' ? count(glob(ini_get('session.save_path') . '/sess_*')) : 0;
    }
}

answer(new PhpSessions());
