# bash completion for kedge(1).

# The options of a command, and behind a colon what follows each: file, dir, process, user, group,
# nothing that could be known (-), or one of several words.
_kedge_options() {
	local log='--log-format:text,json --log-level:debug,info,warning,error --log-file:file'

	case $1 in
	serve) echo "--config:file --check-config --workspace:dir $log --metrics-textfile:file" \
		'--grace-ms:- --answer-ms:-' ;;
	server)
		echo '--socket:file --mode:0600,0660,0666 --allow-user:user --allow-group:group' \
			'--interval:- --anchor-dir:dir --forward:- --clients-max:- --message-bytes-max:-' \
			'--depth-max:- --in-flight-max:- --output-bytes-high:- --output-bytes-max:-' \
			'--first-byte-ms:- --idle-ms:- --stalled-ms:-'
		;;
	guard)
		echo '--all-of:process --config:file --check-config --wait --anchor-dir:dir --vault:dir' \
			'--settle:- --attribution:auto,off --interval:- --metrics-textfile:file' \
			"--ready-fd:- $log"
		;;
	run)
		echo '--listen:file --name:- --mode:0600,0660,0666 --restart --stop-timeout:-' \
			'--anchor-dir:dir --metrics-textfile:file'
		;;
	call)
		echo '--timeout:- --output:file --raw-body:file --header:- --frames --lines --follow'
		;;
	ls) echo '--lost --json' ;;
	status) echo '--json' ;;
	events) echo '--follow --since:10m,1h,1d --json' ;;
	top)
		echo '--interval:- --once --batch:- --sort:state,losses,outage,clients,rate,owner,path' \
			'--reverse --filter:- --unwell --no-colour'
		;;
	check) echo '--timeout:- --call:-' ;;
	wait) echo '--timeout:-' ;;
	rescue) echo '--pid:process --proxy --dry-run --background' ;;
	esac
}

_kedge_commands='serve guard run call ls status events top check wait rescue'
_kedge_servers='gateway assistant'

_kedge_methods() {
	local base=${1##*/}

	case ${base%.sock} in
	gateway)
		echo 'get_global_thresholds set_global_thresholds get_conversation_threshold' \
			'set_conversation_threshold clear_conversation_threshold get_feature_flags' \
			'get_feature_flag echo'
		;;
	assistant)
		echo 'health healthz get_route_schema cache_set cache_get cache_delete sockets_status' \
			'sockets_events metrics skill_tools_list skill_dispatch_tool skill_dispatch_route' \
			'skill_events_publish echo echo_binary echo_stream echo_error'
		;;
	assistant-skill) echo 'host.events.subscribe host.events.subscribe.close' ;;
	esac
}

_kedge_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

_kedge_words() {
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# What may follow an option: $1 as in the table, $2 what is typed of it.
_kedge_value() {
	case $1 in
	file) _kedge_files -f "$2" ;;
	dir) _kedge_files -d "$2" ;;
	user) mapfile -t COMPREPLY < <(compgen -u -- "$2") ;;
	group) mapfile -t COMPREPLY < <(compgen -g -- "$2") ;;
	process) _kedge_words "$(cd /proc && echo [0-9]*)" "$2" ;;
	-) COMPREPLY=() ;;
	*) _kedge_words "${1//,/ }" "$2" ;;
	esac
}

# Paths that nobody comes to any more: no file stands there that could be completed.
_kedge_lost() {
	"${COMP_WORDS[0]}" ls --lost --json 2>/dev/null | sed -n 's/^{"path":"\([^"\\]*\)".*/\1/p'
}

# The arguments of command $1; $2 is typed of it, the ones before it follow.
_kedge_argument() {
	local command=$1 typed=$2

	shift 2
	case $command-$# in
	help-0) _kedge_words "$_kedge_commands" "$typed" ;;
	serve-*) _kedge_words "all $_kedge_servers" "$typed" ;;
	call-0)
		_kedge_files -f "$typed"
		COMPREPLY+=($(compgen -W "$_kedge_servers assistant-skill" -- "$typed"))
		;;
	call-1) _kedge_words "$(_kedge_methods "$1")" "$typed" ;;
	guard-* | check-* | wait-* | status-0) _kedge_files -f "$typed" ;;
	rescue-0) mapfile -t COMPREPLY < <(_kedge_lost | while IFS= read -r path; do
		[[ $path == "$typed"* ]] && printf '%q\n' "$path"
	done) ;;
	run-0) mapfile -t COMPREPLY < <(compgen -c -- "$typed") ;;
	run-*) _kedge_files -f "$typed" ;;
	esac
}

_kedge() {
	local command=${COMP_WORDS[1]} typed=${COMP_WORDS[COMP_CWORD]} options words='' option i
	local server awaits='' arguments=()

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		_kedge_words "$_kedge_commands help --help --version" "$typed"
		return
	fi
	options=$(_kedge_options "$command")
	[[ $command == serve ]] && options+=" $(_kedge_options server)"
	for ((i = 2; i < COMP_CWORD; i++)); do
		# "=" is a word of its own to readline.
		[[ ${COMP_WORDS[i]} == = && $awaits ]] && continue
		[[ $awaits ]] && awaits='' && continue
		option=${COMP_WORDS[i]}
		[[ $command == serve ]] && for server in $_kedge_servers; do
			option=${option/#--$server-/--}
		done
		if [[ $option == -* ]]; then
			[[ " $options " == *" $option:"* ]] && awaits=${options##*"$option:"}
			awaits=${awaits%% *}
		else
			arguments+=("$option")
		fi
	done
	[[ $awaits && $typed == = ]] && typed=''
	if [[ $awaits ]]; then
		_kedge_value "$awaits" "$typed"
	elif [[ $typed == -* ]]; then
		for option in $options --help; do words+=" ${option%%:*}"; done
		[[ $command == serve ]] && for server in $_kedge_servers; do
			# Those of one server only once it is named: they are many.
			[[ $typed == --$server-* ]] && for option in $(_kedge_options server); do
				option=${option%%:*}
				words+=" --$server-${option#--}"
			done
		done
		_kedge_words "$words" "$typed"
	else
		_kedge_argument "$command" "$typed" "${arguments[@]}"
	fi
}

complete -F _kedge kedge
