# fish completion for kedge(1).

# Whether the sub-command is one of these.
function __kedge_in
	set -l words (commandline -opc)
	test (count $words) -ge 2; and contains -- $words[2] $argv
end

# The arguments of a call before the cursor, without options and what belongs to them.
function __kedge_arguments
	set -l awaits no
	for word in (commandline -opc)[3..-1]
		if test $awaits = yes
			set awaits no
		else if contains -- $word --timeout --output --raw-body --header
			set awaits yes
		else if not string match -q -- '-*' $word
			echo $word
		end
	end
end

function __kedge_methods
	switch (string replace -r '\.sock$' '' (basename (__kedge_arguments)[1]))
		case gateway
			printf '%s\n' get_global_thresholds set_global_thresholds get_conversation_threshold \
				set_conversation_threshold clear_conversation_threshold get_feature_flags \
				get_feature_flag echo
		case assistant
			printf '%s\n' health healthz get_route_schema cache_set cache_get cache_delete sockets_status \
				sockets_events metrics skill_tools_list skill_dispatch_tool skill_dispatch_route \
				skill_events_publish echo echo_binary echo_stream echo_error
		case assistant-skill
			printf '%s\n' host.events.subscribe host.events.subscribe.close
	end
end

# Paths that nobody comes to any more: no file stands there that could be completed.
function __kedge_lost
	kedge ls --lost --json 2>/dev/null | string replace -rf '^\{"path":"([^"\\\\]*)".*' '$1'
end

complete -c kedge -f
complete -c kedge -n 'not __kedge_in serve guard run call ls status events top check wait rescue help' -l version -d 'the version'
complete -c kedge -s h -l help -d 'what there is'
complete -c kedge -n '__fish_is_nth_token 1' -a serve -d 'run servers whose paths cannot be lost'
complete -c kedge -n '__fish_is_nth_token 1' -a guard -d 'keep the sockets of other daemons reachable'
complete -c kedge -n '__fish_is_nth_token 1' -a run -d 'hold guarded listeners, and let a command serve them'
complete -c kedge -n '__fish_is_nth_token 1' -a call -d 'ask a server one thing'
complete -c kedge -n '__fish_is_nth_token 1' -a ls -d 'list the listening sockets, and which have lost their path'
complete -c kedge -n '__fish_is_nth_token 1' -a status -d 'show where the guarded paths stand'
complete -c kedge -n '__fish_is_nth_token 1' -a events -d 'show what happened to the guarded paths'
complete -c kedge -n '__fish_is_nth_token 1' -a top -d 'watch the guarded paths, live'
complete -c kedge -n '__fish_is_nth_token 1' -a check -d 'could a client connect? if not, why'
complete -c kedge -n '__fish_is_nth_token 1' -a wait -d 'wait until clients can connect'
complete -c kedge -n '__fish_is_nth_token 1' -a rescue -d 'give a lost socket its path back'
complete -c kedge -n '__fish_is_nth_token 1' -a help -d 'what there is, or what a command takes'

complete -c kedge -n '__kedge_in help; and __fish_is_nth_token 2' \
	-a 'serve guard run call ls status events top check wait rescue'

complete -c kedge -n '__kedge_in serve' -a 'all gateway assistant'
complete -c kedge -n '__kedge_in serve' -l config -r -F -d 'file of options'
complete -c kedge -n '__kedge_in serve' -l check-config -d 'look at that file, and end'
complete -c kedge -n '__kedge_in serve' -l workspace -x -a '(__fish_complete_directories)' -d 'where the data is'
complete -c kedge -n '__kedge_in serve' -l log-format -x -a 'text json' -d 'lines or objects'
complete -c kedge -n '__kedge_in serve' -l log-level -x -a 'debug info warning error' -d 'leave out what matters less'
complete -c kedge -n '__kedge_in serve' -l log-file -r -F -d 'instead of standard error'
complete -c kedge -n '__kedge_in serve' -l metrics-textfile -r -F -d 'figures for Prometheus'
complete -c kedge -n '__kedge_in serve' -l grace-ms -x -d 'ms for what is in flight at the end'
complete -c kedge -n '__kedge_in serve' -l answer-ms -x -d 'ms for a skill to answer'
complete -c kedge -n '__kedge_in serve' -l socket -r -F -d 'instead of the own path'
complete -c kedge -n '__kedge_in serve' -l mode -x -a '0600 0660 0666' -d 'of the socket, octal'
complete -c kedge -n '__kedge_in serve' -l allow-user -x -a '(__fish_complete_users)' -d 'who may connect'
complete -c kedge -n '__kedge_in serve' -l allow-group -x -a '(__fish_complete_groups)' -d 'who may connect'
complete -c kedge -n '__kedge_in serve' -l interval -x -d 'ms between safety looks'
complete -c kedge -n '__kedge_in serve' -l anchor-dir -x -a '(__fish_complete_directories)' -d 'where the anchor is kept'
complete -c kedge -n '__kedge_in serve' -l forward -x -d 'PREFIX=SOCKET'
complete -c kedge -n '__kedge_in serve' -l clients-max -x -d 'connections'
complete -c kedge -n '__kedge_in serve' -l message-bytes-max -x -d 'of a message'
complete -c kedge -n '__kedge_in serve' -l depth-max -x -d 'nesting of a message'
complete -c kedge -n '__kedge_in serve' -l in-flight-max -x -d 'requests on a connection'
complete -c kedge -n '__kedge_in serve' -l output-bytes-high -x -d 'pause a client'
complete -c kedge -n '__kedge_in serve' -l output-bytes-max -x -d 'close a client'
complete -c kedge -n '__kedge_in serve' -l first-byte-ms -x -d 'close who sends nothing'
complete -c kedge -n '__kedge_in serve' -l idle-ms -x -d 'close who asks nothing'
complete -c kedge -n '__kedge_in serve' -l stalled-ms -x -d 'close who takes nothing'

complete -c kedge -n '__kedge_in guard' -F
complete -c kedge -n '__kedge_in guard' -l all-of -x -a '(__fish_complete_pids)' -d 'every path of a process or unit'
complete -c kedge -n '__kedge_in guard' -l config -r -F -d 'file of options and paths'
complete -c kedge -n '__kedge_in guard' -l check-config -d 'look at that file, and end'
complete -c kedge -n '__kedge_in guard' -l wait -d 'await who does not listen yet'
complete -c kedge -n '__kedge_in guard' -l anchor-dir -x -a '(__fish_complete_directories)' -d 'where anchors are kept'
complete -c kedge -n '__kedge_in guard' -l vault -x -a '(__fish_complete_directories)' -d 'where anchors are kept'
complete -c kedge -n '__kedge_in guard' -l settle -x -d 'ms where nobody is known to have done it'
complete -c kedge -n '__kedge_in guard' -l attribution -x -a 'auto off' -d 'ask the kernel who did it'
complete -c kedge -n '__kedge_in guard' -l interval -x -d 'ms between looks'
complete -c kedge -n '__kedge_in guard' -l metrics-textfile -r -F -d 'figures for Prometheus'
complete -c kedge -n '__kedge_in guard' -l ready-fd -x -d 'descriptor to tell readiness'
complete -c kedge -n '__kedge_in guard' -l log-format -x -a 'text json' -d 'lines or objects'
complete -c kedge -n '__kedge_in guard' -l log-level -x -a 'debug info warning error' -d 'leave out what matters less'
complete -c kedge -n '__kedge_in guard' -l log-file -r -F -d 'instead of standard error'

complete -c kedge -n '__kedge_in run' -F -a '(__fish_complete_subcommand --fcs-skip=2)'
complete -c kedge -n '__kedge_in run' -l listen -r -F -d 'listen there, guarded'
complete -c kedge -n '__kedge_in run' -l name -x -d 'of the next --listen'
complete -c kedge -n '__kedge_in run' -l mode -x -a '0600 0660 0666' -d 'of the sockets, octal'
complete -c kedge -n '__kedge_in run' -l restart -d 'start it again when it ends'
complete -c kedge -n '__kedge_in run' -l stop-timeout -x -d 'seconds until SIGKILL'
complete -c kedge -n '__kedge_in run' -l anchor-dir -x -a '(__fish_complete_directories)' -d 'where anchors are kept'
complete -c kedge -n '__kedge_in run' -l metrics-textfile -r -F -d 'figures for Prometheus'

complete -c kedge -n '__kedge_in call; and test (count (__kedge_arguments)) = 0' -F \
	-a 'gateway assistant assistant-skill'
complete -c kedge -n '__kedge_in call; and test (count (__kedge_arguments)) = 1' -a '(__kedge_methods)'
complete -c kedge -n '__kedge_in call' -l timeout -x -d 'seconds for the answer'
complete -c kedge -n '__kedge_in call' -l output -r -F -d 'write the answer there'
complete -c kedge -n '__kedge_in call' -l raw-body -r -F -d 'send a body'
complete -c kedge -n '__kedge_in call' -l header -x -d 'NAME:VALUE'
complete -c kedge -n '__kedge_in call' -l frames -d 'speak frames'
complete -c kedge -n '__kedge_in call' -l lines -d 'speak lines'
complete -c kedge -n '__kedge_in call' -l follow -d 'print what is sent on'

complete -c kedge -n '__kedge_in ls' -l lost -d 'only lost ones'
complete -c kedge -n '__kedge_in ls' -l json -d 'an array of objects'

complete -c kedge -n '__kedge_in status' -F
complete -c kedge -n '__kedge_in status' -l json -d 'an array of objects'

complete -c kedge -n '__kedge_in events' -l follow -d 'go on with what happens'
complete -c kedge -n '__kedge_in events' -l since -x -a '10m 1h 1d' -d 'not older than that'
complete -c kedge -n '__kedge_in events' -l json -d 'an object a line'

complete -c kedge -n '__kedge_in top' -l interval -x -d 'seconds between looks'
complete -c kedge -n '__kedge_in top' -l once -d 'print one table'
complete -c kedge -n '__kedge_in top' -l batch -x -d 'print so many tables'
complete -c kedge -n '__kedge_in top' -l sort -x -a 'state losses outage clients rate owner path' -d 'by a column'
complete -c kedge -n '__kedge_in top' -l reverse -d 'the other way round'
complete -c kedge -n '__kedge_in top' -l filter -x -d 'paths and owners with a text in them'
complete -c kedge -n '__kedge_in top' -l unwell -d 'only what is not reachable'
complete -c kedge -n '__kedge_in top' -l no-colour -d 'as with NO_COLOR'

complete -c kedge -n '__kedge_in check' -F
complete -c kedge -n '__kedge_in check' -l timeout -x -d 'seconds for room and answer'
complete -c kedge -n '__kedge_in check' -l call -x -d 'a method to ask'

complete -c kedge -n '__kedge_in wait' -F
complete -c kedge -n '__kedge_in wait' -l timeout -x -d 'seconds to wait'

complete -c kedge -n '__kedge_in rescue' -a '(__kedge_lost)'
complete -c kedge -n '__kedge_in rescue' -l pid -x -a '(__fish_complete_pids)' -d 'all that it has lost'
complete -c kedge -n '__kedge_in rescue' -l proxy -d 'a proxy in any case'
complete -c kedge -n '__kedge_in rescue' -l dry-run -d 'change nothing'
complete -c kedge -n '__kedge_in rescue' -l background -d 'return once it works'
