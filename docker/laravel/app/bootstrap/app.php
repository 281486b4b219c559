<?php
// An application as Laravel's skeleton makes one: its kernel with the middleware of the group `web`, and its routes.
declare(strict_types=1);

require_once 'Illuminate/autoload.php';

use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Contracts\Http\Kernel as KernelContract;
use Illuminate\Foundation\Application;
use Illuminate\Foundation\Exceptions\Handler;
use Illuminate\Foundation\Http\Kernel;

final class ContractKernel extends Kernel
{
    protected $middlewareGroups = [
        // As in the skeleton, without views and without its check of forms, because the contract has none.
        'web' => [
            Illuminate\Cookie\Middleware\EncryptCookies::class,
            Illuminate\Cookie\Middleware\AddQueuedCookiesToResponse::class,
            Illuminate\Session\Middleware\StartSession::class,
        ],
    ];
}

$app = new Application(dirname(__DIR__));
$app->singleton(KernelContract::class, ContractKernel::class);
$app->singleton(ExceptionHandler::class, Handler::class);
return $app;
