/** Every word the page shows, in one place. Functions fill in what changes. */

export const TEXT = {
  page: {
    title: "Prompt to picture",
    lead: "Diffusion quantised to NVFP4, sampled with DDIM.",
  },
  key: {
    label: "API key",
    placeholder: "Paste your key",
    use: "Use key",
    change: "Change key",
    hint: "Kept in this tab only and forgotten when you close it. “make up” prints the local one; on AWS your administrator has it.",
    inUse: "API key accepted.",
    checking: "Checking the key…",
    unchecked: "The key could not be checked yet: the service does not answer.",
    refused: "The service does not accept this key. Check that it is complete and still active.",
    missing: "Enter your API key first.",
  },
  form: {
    title: "Settings",
    prompt: "Prompt",
    promptPlaceholder: "What should the picture show?",
    examples: "Try one of these",
    preset: "Preset",
    steps: "Steps",
    seed: "Seed",
    seedHint: "Empty: a new one each time.",
    seedPlaceholder: "random",
    rollSeed: "Pick a random seed and keep it",
    model: "Model",
    defaultModel: "Default model",
    more: "More settings",
    negativePrompt: "Leave out",
    negativePromptPlaceholder: "What the picture should not show",
    guidance: "Guidance",
    guidancePlaceholder: "model's own",
    eta: "Eta (noise)",
    guidanceInterval: "Guide from, to (0 to 1)",
    cacheInterval: "Cache interval",
    tokenMerging: "Token merging",
    presetsChoice: "preset's choice",
    width: "Width",
    height: "Height",
    images: "Pictures",
    format: "File type",
    submit: "Make the picture",
    shortcut: "Ctrl + Enter does the same.",
    stepsHint: (steps) => `Empty: ${steps}, from the preset.`,
    presetSteps: (steps) => `${steps} steps`,
    modelOption: (model) => `${model.id} · ${model.native_width} × ${model.native_height}`,
  },
  presets: { fast: "Fast", balanced: "Balanced", quality: "Quality" },
  invalid: {
    missing: "Describe the picture in a few words.",
    number: "Enter a number.",
    range: (minimum, maximum) => `Choose from ${minimum} to ${maximum}.`,
    step: (step) => `Choose ${step === "1" ? "a whole number" : `a multiple of ${step}`}.`,
    interval: "Enter two numbers from 0 to 1, such as 0, 0.8.",
    tooLong: (length, limit) => `${length} characters; ${limit} are allowed.`,
  },
  stage: {
    title: "Picture",
    idle: "Your picture appears here.",
    cancel: "Cancel",
    cancelling: "Cancelling…",
    sending: "Sending the request…",
    queued: "Waiting for a free worker…",
    coldStart: "The service sleeps when nobody uses it; waking it can take some minutes. You may reload this page, the job is remembered.",
    running: "Drawing…",
    fetching: "Fetching the picture…",
    step: (step, total) => `Step ${step} of ${total}`,
    seconds: (seconds) => `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`,
    attempt: (attempt) => `The last worker was lost; this is attempt ${attempt}.`,
    download: "Download",
    downloadOne: (seed) => `Download (seed ${seed})`,
    size: (width, height) => `${width} × ${height} pixels`,
    pixels: "Show the pixels",
    imageLost: "The picture did not load.",
    retryImage: "Load again",
  },
  details: {
    timings: "Timings",
    waiting: "Queued and delivered",
    generating: "Generating",
    total: "Total",
    provenance: "Provenance",
    model: "Model",
    checksum: "Artifact SHA-256",
    preset: "Preset",
    steps: "Steps",
    guidance: "Guidance",
    eta: "Eta",
    guidanceInterval: "Guided from, to",
    cacheInterval: "Cache interval",
    tokenMerging: "Token merging",
    seed: "Seed",
    path: "Execution path",
    library: "Library",
    job: "Job",
    copy: "Copy",
    copied: "Copied",
    keepSeed: "Keep this seed",
  },
  history: {
    title: "Last pictures",
    empty: "Nothing yet.",
    locked: "Shown once your key is accepted.",
    hint: "Choose one to see it and use its settings again.",
    more: "Show older",
    again: (prompt, seed) => `${prompt}, seed ${seed}`,
    failed: "The list did not load.",
    retry: "Load again",
  },
  ended: {
    failed: "The picture could not be made",
    cancelled: "Cancelled",
    cancelledDetail: "The job was stopped. Your prompt is still here.",
    expired: "The job took too long",
    expiredDetail: "It was given up before a worker finished it. Make the picture again.",
    forgotten: "The job is no longer there",
    forgottenDetail: "It is past its lifetime, or belongs to another API key.",
  },
  errors: {
    title: "That did not work",
    offline: "You are offline. Nothing is lost: it goes on by itself when the line is back.",
    unreachable: "The service does not answer. Nothing is lost: trying again…",
    busy: "The service is busy. Nothing is lost: trying again…",
    troubled: (status) => `The service has trouble (status ${status}). Nothing is lost: trying again…`,
    configuration: "config.json, which names the API, is missing or broken. Deploy the console again.",
    unexpected: (status) => `The service answered with status ${status}.`,
    reference: (instance) => `Reference: ${instance}`,
    fields: "Some settings were not accepted: see the marked fields.",
    fieldDetail: (field, message) => `${field}: ${message}`,
  },
  announce: {
    submitted: "Request sent.",
    progress: (percent) => `${percent} percent.`,
    done: "The picture is ready.",
    reused: "Settings taken over.",
  },
};

/** Prompts that the bundled model draws well. */
export const EXAMPLE_PROMPTS = [
  "red heart",
  "a slice of watermelon",
  "a rocket",
  "smiling face with sunglasses",
  "a green tree",
  "a panda",
];

const SLOTS = { text: "textContent", hint: "placeholder", label: "ariaLabel", tip: "title" };

/**
 * Puts the words into the elements that ask for them, such as `data-text="form.prompt"`.
 *
 * @param {ParentNode} root
 */
export function fillText(root) {
  for (const [slot, property] of Object.entries(SLOTS)) {
    for (const node of root.querySelectorAll(`[data-${slot}]`)) {
      node[property] = node.dataset[slot].split(".").reduce((words, key) => words[key], TEXT);
    }
  }
}
