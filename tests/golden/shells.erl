%% Runs sessions of Erlang's own shell, each a fresh one, and writes down what each paste makes it print. The process
%% here is the shell's terminal: it hands out the text of a paste, and a paste is over when the shell asks for more.
-module(shells).
-export([main/1]).

-define(SESSION, <<29>>).
-define(PASTE, <<30>>).
-define(PATIENCE, 20000).

%% Of what the shell is given: what it has not read of a line, the lines after it, and the pastes after these.
-record(terminal, {shell, state = [], line = [], lines = [], pastes, printed = [], outputs = []}).

main([In, Out]) ->
    {ok, Text} = file:read_file(In),
    Sessions = [binary:split(S, ?PASTE, [global]) || S <- binary:split(Text, ?SESSION, [global])],
    Terminals = [spawn_monitor(fun() -> exit({printed, terminal(Pastes)}) end) || Pastes <- Sessions],
    Printed = [printed(Monitor) || {_, Monitor} <- Terminals],
    ok = file:write_file(Out, lists:join(?SESSION, Printed)).

printed(Monitor) ->
    receive
        {'DOWN', Monitor, process, _, {printed, Outputs}} ->
            lists:join(?PASTE, Outputs);
        {'DOWN', Monitor, process, _, Reason} ->
            error(Reason)
    end.

terminal(Pastes) ->
    Terminal = self(),
    Shell = spawn(fun() -> group_leader(Terminal, self()), shell:server(false, false) end),
    %% The banner is what the shell prints to a paste that nobody made.
    [_Banner | Outputs] = loop(#terminal{shell = Shell, pastes = Pastes}),
    Outputs.

loop(#terminal{shell = Shell, printed = Printed} = T) ->
    receive
        {io_request, From, As, Request} ->
            case request(Request, T) of
                {reply, Reply, T1} ->
                    From ! {io_reply, As, Reply},
                    loop(T1);
                {over, T1} ->
                    exit(Shell, kill),
                    lists:reverse(T1#terminal.outputs)
            end
    after ?PATIENCE ->
        exit(Shell, kill),
        lists:reverse([[Printed, "(no answer)"] | T#terminal.outputs])
    end.

request({put_chars, Encoding, Chars}, T) ->
    put_chars(fun() -> Chars end, Encoding, {put_chars, Encoding, Chars}, T);
request({put_chars, Encoding, M, F, A}, T) ->
    put_chars(fun() -> apply(M, F, A) end, Encoding, F, T);
request({get_until, _Encoding, _Prompt, M, F, A}, T) ->
    read(M, F, A, T);
request({get_line, _Encoding, _Prompt}, T) ->
    {Line, T1} = line(T),
    {reply, Line, T1};
request({requests, Requests}, T) ->
    lists:foldl(fun(R, {reply, _, T1}) -> request(R, T1); (_, Over) -> Over end, {reply, ok, T}, Requests);
request(getopts, T) ->
    {reply, [{binary, false}, {echo, false}, {encoding, unicode}], T};
request({setopts, _}, T) ->
    {reply, ok, T};
request({get_geometry, columns}, T) ->
    {reply, 80, T};
request(_, T) ->
    {reply, {error, enotsup}, T}.

%% The rest of a line, which the shell skips after what it cannot read.
line(#terminal{line = [_ | _] = Line} = T) ->
    {Line, T#terminal{line = []}};
line(#terminal{lines = [Line | Lines]} = T) ->
    {Line ++ "\n", T#terminal{lines = Lines}};
line(T) ->
    {"\n", T}.

put_chars(Chars, Encoding, Reason, #terminal{printed = Printed} = T) ->
    case catch unicode:characters_to_binary(Chars(), Encoding) of
        Bytes when is_binary(Bytes) ->
            {reply, ok, T#terminal{printed = [Printed, Bytes]}};
        _ ->
            {reply, {error, Reason}, T}
    end.

read(M, F, A, #terminal{line = [_ | _] = Line} = T) ->
    case apply(M, F, [T#terminal.state, Line | A]) of
        {done, Result, Rest} ->
            {reply, Result, T#terminal{state = [], line = Rest}};
        {more, State} ->
            read(M, F, A, T#terminal{state = State, line = []})
    end;
read(M, F, A, #terminal{lines = [Line | Lines]} = T) ->
    read(M, F, A, T#terminal{line = Line ++ "\n", lines = Lines});
read(M, F, A, #terminal{pastes = Pastes, printed = Printed, outputs = Outputs} = T) ->
    T1 = T#terminal{printed = [], outputs = [Printed | Outputs]},
    case Pastes of
        [] ->
            {over, T1};
        [Paste | Later] ->
            Lines = string:split(unicode:characters_to_list(Paste), "\n", all),
            read(M, F, A, T1#terminal{lines = Lines, pastes = Later})
    end.
