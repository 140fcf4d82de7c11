# Names that are made up.
cat << END
$BASHPID $PPID $(exec sh -c 'echo $$')
END
exec 9<<< "text"; ls -l /proc/$$/fd/9; ls -la /tmp
python3 -c 'import tempfile; print(tempfile.mktemp())'; sort -S 1k --debug /dev/null 2>&1; split -l 3 <(seq 20) /tmp/part; ls -U /tmp; echo $EPOCHREALTIME
