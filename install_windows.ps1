<#
.SYNOPSIS
Installs the library into .venv beside this script, then checks that this machine is ready.

.DESCRIPTION
Makes .venv, installs the nvfp4_ddim_optimizer library and the nvfp4-ddim command into it (no AWS
packages), and ends with verify_setup.py. Running it again updates what is there.

The environment variable NVFP4_TORCH_INDEX names a package index to look for PyTorch in besides
pip's own, in place of the one this script chooses.

.PARAMETER Gpu
Install PyTorch's CUDA build (needs an NVIDIA driver; some gigabytes). Without it: the CPU build.

.PARAMETER Python
The Python to make .venv with; 3.11 or newer. Default: the newest one found.

.EXAMPLE
powershell -ExecutionPolicy Bypass -File install_windows.ps1
#>
[CmdletBinding()]
param(
    [switch]$Gpu,
    [string]$Python = ""
)

Set-StrictMode -Version Latest
$ErrorActionPreference = "Stop"
Set-Location $PSScriptRoot

$CudaIndex = "https://download.pytorch.org/whl/cu130"
$Venv = ".venv"
$VenvPython = Join-Path $Venv "Scripts\python.exe"

function Stop-Installation([string]$Message) {
    [Console]::Error.WriteLine("install_windows.ps1: $Message")
    exit 1
}

function Test-Python([string[]]$Command) {
    $Arguments = @($Command | Select-Object -Skip 1)
    $Check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    try { & $Command[0] @Arguments -c $Check 2>$null | Out-Null } catch { return $false }
    return $LASTEXITCODE -eq 0
}

function Find-Python {
    if ($Python) {
        if (Test-Python @($Python)) { return @($Python) }
        Stop-Installation "$Python is not a Python 3.11 or newer."
    }
    $Candidates = @(@("py", "-3"), @("python3"), @("python"))
    foreach ($Candidate in $Candidates) {
        if ((Get-Command $Candidate[0] -ErrorAction SilentlyContinue) -and (Test-Python $Candidate)) {
            return $Candidate
        }
    }
    Stop-Installation "no Python 3.11 or newer was found. Install one: winget install Python.Python.3.13"
}

if (-not (Test-Path $Venv)) {
    $Command = @(Find-Python)
    $Arguments = @($Command | Select-Object -Skip 1)
    Write-Host "`n==> Making $Venv"
    & $Command[0] @Arguments -m venv $Venv
    if ($LASTEXITCODE -ne 0) { Stop-Installation "the virtual environment could not be made." }
}
elseif (-not (Test-Python @($VenvPython))) {
    Stop-Installation "$Venv is broken or older than Python 3.11. Remove it and run this again."
}

# PyPI's Windows build of PyTorch is the CPU one.
$Index = if (Test-Path Env:NVFP4_TORCH_INDEX) { $Env:NVFP4_TORCH_INDEX } elseif ($Gpu) { $CudaIndex } else { "" }
$ExtraIndex = @()
if ($Index) { $ExtraIndex = @("--extra-index-url", $Index) }

if ($Gpu) {
    $Installed = & $VenvPython -m pip --disable-pip-version-check list "--format=freeze"
    if (($Installed -match "^torch==") -and -not ($Installed -match "^torch==.*\+cu")) {
        Write-Host "`n==> Replacing PyTorch's CPU build"
        & $VenvPython -m pip --disable-pip-version-check uninstall --quiet --yes torch
    }
}

Write-Host "`n==> Installing the library and what it needs"
& $VenvPython -m pip --disable-pip-version-check install @ExtraIndex --constraint constraints.txt --editable ".[plots,server]"
if ($LASTEXITCODE -ne 0) { Stop-Installation "pip could not install the library: its message is above." }

Write-Host "`n==> Checking this machine"
& $VenvPython verify_setup.py
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }

Write-Host "`nInstalled. Next:"
Write-Host "  $Venv\Scripts\nvfp4-ddim generate `"a slice of watermelon`""
Write-Host "  $Venv\Scripts\nvfp4-ddim --help"
