# Completion of `todo` in PowerShell 5.1 and later. Nothing that the program answers is evaluated.

Register-ArgumentCompleter -Native -CommandName todo -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $typed = @()
    foreach ($element in ($commandAst.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        # The value of a string is without its quotes. What would have to be evaluated is not.
        if ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) {
            $typed += $element.Value
        }
        else { $typed += $element.Extent.Text }
    }
    $typed += $wordToComplete.Trim([char[]]"'`"")

    $encoding, $columns = [Console]::OutputEncoding, $Env:COLUMNS
    try {
        [Console]::OutputEncoding = [System.Text.Encoding]::UTF8
        $Env:_TODO_COMPLETE = 'powershell'
        $Env:_TODO_COMPLETE_LINE = $typed -join [char]0x1F
        $Env:COLUMNS = $Host.UI.RawUI.WindowSize.Width
        $kind, $answer = $null | todo 2>$null
    }
    catch { $kind, $answer = $null, @() }
    finally {
        [Console]::OutputEncoding = $encoding
        $Env:COLUMNS = $columns
        Remove-Item -Path 'Env:_TODO_COMPLETE', 'Env:_TODO_COMPLETE_LINE' -ErrorAction Ignore
    }

    # Where nothing is answered PowerShell offers file names by itself.
    foreach ($line in $answer) {
        $value, $shown = $line -split "`t", 2
        [System.Management.Automation.CompletionResult]::new(
            $value, $shown, [System.Management.Automation.CompletionResultType]::ParameterValue, $shown)
    }
}
