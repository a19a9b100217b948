export interface ApprovalDone {
    type: "antiphon.approval.done";
    event_id: string;
    call_id: string;
    name: string;
    outcome: string;
}
export interface ApprovalRequested {
    type: "antiphon.approval.requested";
    event_id: string;
    call_id: string;
    name: string;
    arguments: string;
    expires_in_s: number;
}
export interface ArgumentsDelta {
    type: "response.function_call_arguments.delta";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    call_id: string;
    delta: string;
}
export interface ArgumentsDone {
    type: "response.function_call_arguments.done";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    call_id: string;
    name: string;
    arguments: string;
}
export interface Audio {
    input: AudioInput;
    output: AudioOutput;
}
export interface AudioCleared {
    type: "input_audio_buffer.cleared";
    event_id: string;
}
export interface AudioCommitted {
    type: "input_audio_buffer.committed";
    event_id: string;
    item_id: string;
    previous_item_id: string | null;
}
export interface AudioDelta {
    type: "response.output_audio.delta";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
    delta: string;
    sent_ms?: number;
}
export interface AudioDone {
    type: "response.output_audio.done";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
}
export interface AudioInput {
    format: AudioPcm | AudioPcmu | AudioPcma;
    noise_reduction: NoiseReduction | null;
    transcription: Transcription | null;
    turn_detection: ServerVad | SemanticVad | null;
}
export interface AudioOutput {
    format: AudioPcm | AudioPcmu | AudioPcma;
    voice: string | VoiceId;
    speed: number;
}
export interface AudioPart {
    type: "audio";
    transcript: string;
}
export interface AudioPcm {
    type: "audio/pcm";
    rate: 24000 | null;
}
export interface AudioPcma {
    type: "audio/pcma";
}
export interface AudioPcmu {
    type: "audio/pcmu";
}
export interface CachedTokens {
    text_tokens: number;
    audio_tokens: number;
    image_tokens: number;
}
export interface ContentPartAdded {
    type: "response.content_part.added";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
    part: TextPart | AudioPart;
}
export interface ContentPartDone {
    type: "response.content_part.done";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
    part: TextPart | AudioPart;
}
export interface Conversation {
    id: string;
    object: "realtime.conversation";
}
export interface ConversationCreated {
    type: "conversation.created";
    event_id: string;
    conversation: Conversation;
}
export interface DtmfReceived {
    type: "input_audio_buffer.dtmf_event_received";
    event: string;
    received_at: number;
}
export interface Error {
    type: "error";
    event_id: string;
    error: ErrorDetails;
}
export interface ErrorDetails {
    type: string;
    code: string | null;
    message: string;
    param: string | null;
    event_id: string | null;
}
export interface FailureDetails {
    type: string;
    code: string | null;
    message: string | null;
}
export interface FunctionCall {
    type: "function_call";
    id: string | null;
    object: "realtime.item" | null;
    status: "completed" | "in_progress" | "incomplete" | null;
    call_id: string | null;
    name: string;
    arguments: string;
}
export interface FunctionCallOutput {
    type: "function_call_output";
    id: string | null;
    object: "realtime.item" | null;
    status: "completed" | "in_progress" | "incomplete" | null;
    call_id: string;
    output: string;
}
export interface FunctionTool {
    type: "function";
    name: string;
    description: string | null;
    parameters: Record<string, unknown> | null;
}
export interface InputAudio {
    type: "input_audio";
    audio?: string | null;
    transcript: string | null;
}
export interface InputImage {
    type: "input_image";
    image_url: string;
    detail: "auto" | "high" | "low" | null;
}
export interface InputText {
    type: "input_text";
    text: string;
}
export interface InputTokens {
    text_tokens: number;
    audio_tokens: number;
    image_tokens: number;
    cached_tokens: number;
    cached_tokens_details: CachedTokens;
}
export interface ItemAdded {
    type: "conversation.item.added";
    event_id: string;
    previous_item_id: string | null;
    item: Message | FunctionCall | FunctionCallOutput | McpListTools | McpCall | McpApprovalRequest | McpApprovalResponse;
}
export interface ItemDeleted {
    type: "conversation.item.deleted";
    event_id: string;
    item_id: string;
}
export interface ItemDone {
    type: "conversation.item.done";
    event_id: string;
    previous_item_id: string | null;
    item: Message | FunctionCall | FunctionCallOutput | McpListTools | McpCall | McpApprovalRequest | McpApprovalResponse;
}
export interface ItemRetrieved {
    type: "conversation.item.retrieved";
    event_id: string;
    item: Message | FunctionCall | FunctionCallOutput | McpListTools | McpCall | McpApprovalRequest | McpApprovalResponse;
}
export interface ItemTruncated {
    type: "conversation.item.truncated";
    event_id: string;
    item_id: string;
    content_index: number;
    audio_end_ms: number;
}
export interface LogProb {
    token: string;
    logprob: number;
    bytes: readonly (number)[];
}
export interface McpApprovalFilter {
    always?: McpToolFilter | null;
    never?: McpToolFilter | null;
}
export interface McpApprovalRequest {
    type: "mcp_approval_request";
    id: string | null;
    server_label: string;
    name: string;
    arguments: string;
}
export interface McpApprovalResponse {
    type: "mcp_approval_response";
    id: string | null;
    approval_request_id: string;
    approve: boolean;
    reason: string | null;
}
export interface McpArgumentsDelta {
    type: "response.mcp_call_arguments.delta";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    delta: string;
    obfuscation: string;
}
export interface McpArgumentsDone {
    type: "response.mcp_call_arguments.done";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    arguments: string;
}
export interface McpCall {
    type: "mcp_call";
    id: string | null;
    server_label: string;
    name: string;
    arguments: string;
    approval_request_id: string | null;
    output: string | null;
    error: McpProtocolError | McpToolExecutionError | McpHttpError | null;
}
export interface McpCallCompleted {
    type: "response.mcp_call.completed";
    event_id: string;
    item_id: string;
    output_index: number;
}
export interface McpCallFailed {
    type: "response.mcp_call.failed";
    event_id: string;
    item_id: string;
    output_index: number;
}
export interface McpCallInProgress {
    type: "response.mcp_call.in_progress";
    event_id: string;
    item_id: string;
    output_index: number;
}
export interface McpHttpError {
    type: "http_error";
    code: number;
    message: string;
}
export interface McpListTools {
    type: "mcp_list_tools";
    id: string | null;
    server_label: string;
    tools: readonly (McpToolInfo)[];
}
export interface McpListToolsCompleted {
    type: "mcp_list_tools.completed";
    event_id: string;
    item_id: string;
}
export interface McpListToolsFailed {
    type: "mcp_list_tools.failed";
    event_id: string;
    item_id: string;
}
export interface McpListToolsInProgress {
    type: "mcp_list_tools.in_progress";
    event_id: string;
    item_id: string;
}
export interface McpProtocolError {
    type: "protocol_error";
    code: number;
    message: string;
}
export interface McpTool {
    type: "mcp";
    server_label: string;
    server_url?: string | null;
    connector_id?: string | null;
    tunnel_id?: string | null;
    authorization?: string | null;
    headers?: Record<string, string> | null;
    allowed_tools?: readonly (string)[] | McpToolFilter | null;
    require_approval?: "always" | "never" | McpApprovalFilter | null;
    server_description?: string | null;
    defer_loading?: boolean | null;
    allowed_callers?: readonly ("direct" | "programmatic")[] | null;
}
export interface McpToolExecutionError {
    type: "tool_execution_error";
    message: string;
}
export interface McpToolFilter {
    read_only?: boolean | null;
    tool_names?: readonly (string)[] | null;
}
export interface McpToolInfo {
    name: string;
    input_schema: Record<string, unknown>;
    description: string | null;
    annotations: Record<string, unknown> | null;
}
export interface Message {
    type: "message";
    id: string | null;
    object: "realtime.item" | null;
    status: "completed" | "in_progress" | "incomplete" | null;
    role: "assistant" | "system" | "user";
    content: readonly (InputText | InputAudio | InputImage | OutputText | OutputAudio)[];
}
export interface NoiseReduction {
    type?: "far_field" | "near_field";
    strength?: number | null;
}
export interface OutputAudio {
    type: "output_audio";
    audio?: string | null;
    transcript: string | null;
}
export interface OutputAudioCleared {
    type: "output_audio_buffer.cleared";
    event_id: string;
    response_id: string;
}
export interface OutputAudioHeard {
    type: "antiphon.output_audio.heard";
    event_id: string;
    response_id: string;
    item_id: string;
    played_ms: number;
    letters: number;
}
export interface OutputAudioStarted {
    type: "output_audio_buffer.started";
    event_id: string;
    response_id: string;
}
export interface OutputAudioStopped {
    type: "output_audio_buffer.stopped";
    event_id: string;
    response_id: string;
}
export interface OutputItemAdded {
    type: "response.output_item.added";
    event_id: string;
    response_id: string;
    output_index: number;
    item: Message | FunctionCall | FunctionCallOutput | McpListTools | McpCall | McpApprovalRequest | McpApprovalResponse;
}
export interface OutputItemDone {
    type: "response.output_item.done";
    event_id: string;
    response_id: string;
    output_index: number;
    item: Message | FunctionCall | FunctionCallOutput | McpListTools | McpCall | McpApprovalRequest | McpApprovalResponse;
}
export interface OutputText {
    type: "output_text";
    text: string;
}
export interface OutputTokens {
    text_tokens: number;
    audio_tokens: number;
}
export interface Prompt {
    id: string;
    version?: string | null;
    variables?: Record<string, unknown> | null;
}
export interface RateLimit {
    name: "requests" | "tokens";
    limit: number;
    remaining: number;
    reset_seconds: number;
}
export interface RateLimitsUpdated {
    type: "rate_limits.updated";
    event_id: string;
    rate_limits: readonly (RateLimit)[];
}
export interface RealtimeSession {
    type: "realtime";
    id: string;
    object: "realtime.session";
    expires_at: number;
    model: string;
    instructions: string;
    output_modalities: readonly ("audio" | "text")[];
    audio: Audio;
    tools: readonly (FunctionTool | McpTool)[];
    tool_choice: "auto" | "none" | "required" | ToolChoiceFunction | ToolChoiceMcp;
    parallel_tool_calls: boolean;
    max_output_tokens: number | "inf";
    truncation: "auto" | "disabled" | RetentionRatio;
    tracing: "auto" | Tracing | null;
    prompt: Prompt | null;
    reasoning: Reasoning | null;
    include: readonly ("item.input_audio_transcription.logprobs")[] | null;
}
export interface Reasoning {
    effort?: "high" | "low" | "medium" | "minimal" | "xhigh" | null;
}
export interface Response {
    id: string;
    object: "realtime.response";
    status: "cancelled" | "completed" | "failed" | "in_progress" | "incomplete";
    status_details: StatusDetails | null;
    output: readonly (Message | FunctionCall | FunctionCallOutput | McpListTools | McpCall | McpApprovalRequest | McpApprovalResponse)[];
    conversation_id: string | null;
    output_modalities: readonly ("audio" | "text")[];
    max_output_tokens: number | "inf";
    audio?: ResponseAudio;
    usage: Usage | null;
    metadata: Record<string, string> | null;
}
export interface ResponseAudio {
    output: ResponseAudioOutput;
}
export interface ResponseAudioOutput {
    format: AudioPcm | AudioPcmu | AudioPcma;
    voice: string;
}
export interface ResponseCreated {
    type: "response.created";
    event_id: string;
    response: Response;
}
export interface ResponseDone {
    type: "response.done";
    event_id: string;
    response: Response;
}
export interface RetentionRatio {
    type: "retention_ratio";
    retention_ratio: number;
    token_limits?: TokenLimits | null;
}
export interface SemanticVad {
    type: "semantic_vad";
    eagerness: "auto" | "high" | "low" | "medium";
    create_response: boolean;
    interrupt_response: boolean;
}
export interface ServerVad {
    type: "server_vad";
    threshold: number;
    prefix_padding_ms: number;
    silence_duration_ms: number;
    idle_timeout_ms: number | null;
    create_response: boolean;
    interrupt_response: boolean;
}
export interface SessionCreated {
    type: "session.created";
    event_id: string;
    session: RealtimeSession | TranscriptionSession;
}
export interface SessionResumable {
    type: "antiphon.session.resumable";
    event_id: string;
    session_id: string;
    token: string;
    within_s: number;
}
export interface SessionResumed {
    type: "antiphon.session.resumed";
    event_id: string;
    session_id: string;
    missed: number;
    is_complete: boolean;
    heard_ms: number;
}
export interface SessionUpdated {
    type: "session.updated";
    event_id: string;
    session: RealtimeSession | TranscriptionSession;
}
export interface SpeechStarted {
    type: "input_audio_buffer.speech_started";
    event_id: string;
    item_id: string;
    audio_start_ms: number;
}
export interface SpeechStopped {
    type: "input_audio_buffer.speech_stopped";
    event_id: string;
    item_id: string;
    audio_end_ms: number;
}
export interface Stage {
    name: string;
    ms: number;
}
export interface StatusDetails {
    type: "cancelled" | "completed" | "failed" | "incomplete";
    reason?: "client_cancelled" | "content_filter" | "max_output_tokens" | "turn_detected";
    error?: FailureDetails;
}
export interface TaskDone {
    type: "antiphon.task.done";
    event_id: string;
    call_id: string;
    name: string;
    output: string;
    ok: boolean;
}
export interface TextDelta {
    type: "response.output_text.delta";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
    delta: string;
}
export interface TextDone {
    type: "response.output_text.done";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
    text: string;
}
export interface TextPart {
    type: "text";
    text: string;
}
export interface Timeline {
    type: "antiphon.timeline";
    event_id: string;
    response_id: string;
    item_id: string | null;
    status: string;
    reason: string | null;
    stages: readonly (Stage)[];
    wait_ms: number | null;
    was_prepared: boolean;
    tools: readonly (ToolSpan)[];
}
export interface TimeoutTriggered {
    type: "input_audio_buffer.timeout_triggered";
    event_id: string;
    item_id: string;
    audio_start_ms: number;
    audio_end_ms: number;
}
export interface TokenLimits {
    post_instructions?: number | null;
}
export interface ToolChoiceFunction {
    type: "function";
    name: string;
}
export interface ToolChoiceMcp {
    type: "mcp";
    server_label: string;
    name?: string | null;
}
export interface ToolDone {
    type: "antiphon.tool.done";
    event_id: string;
    response_id: string;
    call_id: string;
    name: string;
    output: string;
    ok: boolean;
}
export interface ToolProgress {
    type: "antiphon.tool.progress";
    event_id: string;
    call_id: string;
    name: string;
    text: string;
}
export interface ToolSpan {
    call_id: string;
    name: string;
    start_ms: number;
    ms: number;
}
export interface ToolStarted {
    type: "antiphon.tool.started";
    event_id: string;
    response_id: string;
    call_id: string;
    name: string;
    arguments: string;
}
export interface Tracing {
    workflow_name?: string | null;
    group_id?: string | null;
    metadata?: Record<string, unknown> | null;
}
export interface TranscriptDelta {
    type: "response.output_audio_transcript.delta";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
    delta: string;
}
export interface TranscriptDone {
    type: "response.output_audio_transcript.done";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
    transcript: string;
}
export interface Transcription {
    model?: string | null;
    language?: string | null;
    prompt?: string | null;
    languages?: readonly (string)[] | null;
    keywords?: readonly (string)[] | null;
    delay?: "high" | "low" | "medium" | "minimal" | "xhigh" | null;
}
export interface TranscriptionAudio {
    input: AudioInput;
}
export interface TranscriptionCompleted {
    type: "conversation.item.input_audio_transcription.completed";
    event_id: string;
    item_id: string;
    content_index: number;
    transcript: string;
    usage: TranscriptionTokens | TranscriptionDuration;
    languages?: readonly (TranscriptionLanguage)[];
    logprobs?: readonly (LogProb)[];
}
export interface TranscriptionDelta {
    type: "conversation.item.input_audio_transcription.delta";
    event_id: string;
    item_id: string;
    content_index: number;
    delta: string;
    logprobs?: readonly (LogProb)[];
}
export interface TranscriptionDuration {
    type: "duration";
    seconds: number;
}
export interface TranscriptionFailed {
    type: "conversation.item.input_audio_transcription.failed";
    event_id: string;
    item_id: string;
    content_index: number;
    error: TranscriptionFailure;
}
export interface TranscriptionFailure {
    type: string;
    code: string | null;
    message: string;
    param: string | null;
}
export interface TranscriptionInputTokens {
    text_tokens: number;
    audio_tokens: number;
}
export interface TranscriptionLanguage {
    code: string;
}
export interface TranscriptionSegment {
    type: "conversation.item.input_audio_transcription.segment";
    event_id: string;
    item_id: string;
    content_index: number;
    id: string;
    speaker: string;
    start: number;
    end: number;
    text: string;
}
export interface TranscriptionSession {
    type: "transcription";
    id: string;
    object: "realtime.transcription_session";
    expires_at: number;
    audio: TranscriptionAudio;
    include: readonly ("item.input_audio_transcription.logprobs")[] | null;
}
export interface TranscriptionTail {
    type: "antiphon.transcription.tail";
    event_id: string;
    item_id: string;
    tail: string;
}
export interface TranscriptionTokens {
    type: "tokens";
    total_tokens: number;
    input_tokens: number;
    output_tokens: number;
    input_token_details: TranscriptionInputTokens;
}
export interface Usage {
    total_tokens: number;
    input_tokens: number;
    output_tokens: number;
    input_token_details: InputTokens;
    output_token_details: OutputTokens;
}
export interface VoiceId {
    id: string;
}
export type ServerMessage = SessionCreated | SessionUpdated | Error | RateLimitsUpdated | ConversationCreated | ItemAdded | ItemDone | ItemDeleted | ItemRetrieved | ItemTruncated | TranscriptionDelta | TranscriptionSegment | TranscriptionCompleted | TranscriptionFailed | SpeechStarted | SpeechStopped | AudioCommitted | AudioCleared | TimeoutTriggered | DtmfReceived | OutputAudioStarted | OutputAudioStopped | OutputAudioCleared | ResponseCreated | ResponseDone | OutputItemAdded | OutputItemDone | ContentPartAdded | ContentPartDone | TextDelta | TextDone | AudioDelta | AudioDone | TranscriptDelta | TranscriptDone | ArgumentsDelta | ArgumentsDone | McpListToolsInProgress | McpListToolsCompleted | McpListToolsFailed | McpArgumentsDelta | McpArgumentsDone | McpCallInProgress | McpCallCompleted | McpCallFailed | SessionResumable | SessionResumed | ToolStarted | ToolProgress | ToolDone | TaskDone | OutputAudioHeard | ApprovalRequested | ApprovalDone | TranscriptionTail | Timeline;
