<?php

declare(strict_types=1);

// php.php CODE: runs code over the shim, and answers as JSON with what it returned and with what PHP warned of.
set_error_handler(function (int $level, string $message) use (&$warnings): bool {
    $warnings[] = $message;
    return true;
});
require __DIR__ . '/../../examples/php/wincache_shim.php';

$warnings = [];
$result = eval($argv[1]);
echo json_encode(['result' => $result, 'warnings' => $warnings], JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR);
