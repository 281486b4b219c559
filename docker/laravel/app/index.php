<?php
// The contract over Laravel's session: a route for each call, behind the middleware that starts a session and saves it.
declare(strict_types=1);

require __DIR__ . '/contract.php';

use Illuminate\Contracts\Http\Kernel;
use Illuminate\Contracts\Session\Session;
use Illuminate\Http\Request;

/** The session that the middleware has started; it saves it when the call is over. */
final class LaravelSessions implements Sessions
{
    public function __construct(private ?Session $session)
    {
    }

    public function load(): ?array
    {
        return $this->session->has('epoch') ? $this->session->all() : null;
    }

    public function begin(): void
    {
        $this->session->invalidate();
    }

    public function renew(): void
    {
        // As its guard does at a log-in.
        $this->session->regenerate(true);
    }

    public function keep(array $held): void
    {
        foreach (['owner', 'epoch', 'version', 'digest', 'tail', 'payload', 'changing'] as $key) {
            $this->session->put($key, $held[$key]);
        }
    }

    public function end(): void
    {
        $this->session->invalidate();
        $this->session->regenerateToken();
    }

    public function count(): int
    {
        return 0;
    }
}

$app = require __DIR__ . '/bootstrap/app.php';
$call = function (Request $request) {
    $session = $request->hasSession() ? $request->session() : null;
    [$status, $body] = (new Contract(new LaravelSessions($session)))
        ->answer($request->method(), '/' . $request->path(), $request->getContent(), $request->query());
    return $body === null ? response('', $status) : response()->json($body, $status, [], JSON_UNESCAPED_SLASHES);
};
$app->booted(function () use ($app, $call) {
    $router = $app->make('router');
    $chosen = require __DIR__ . '/chosen.php';
    foreach (['session', 'session/log-in', 'session/ops', 'session/log-out'] as $path) {
        $route = $router->any($path, $call)->middleware('web');
        if ($chosen['block']) {
            $route->block();
        }
    }
    $router->any('{path}', $call)->where('path', '.*');
});
$kernel = $app->make(Kernel::class);
$request = Request::capture();
$response = $kernel->handle($request)->send();
$kernel->terminate($request, $response);
