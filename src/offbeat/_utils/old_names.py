"""Names of classes in files of earlier versions, and the names of today.

A record in a file is named by its module and class: ``module:Class``.
"""

SOLVERS = {
    "admm": "admm.admm",
    "admm_asip": "admm.asip",
    "admm_hinge": "admm.dual_ascent",
    "admm_smooth": "admm.smooth",
    "batch": "newton.batch",
    "changing": "composite.fallback",
    "column_models": "lasso.column_models",
    "column_path": "lasso.paths",
    "column_store": "lasso.column_store",
    "conjugate": "newton_cg.conjugate_gradients",
    "delayed_proximal_gradient": "gradient.delayed_proximal_gradient",
    "descent": "_common.descent",
    "dual_averaging": "baselines.dual_averaging",
    "dual_hub": "dual.hub",
    "dual_polish": "dual.active_set",
    "dual_rows": "dual.shard",
    "dual_sweeps": "dual.epochs",
    "gradient_descent": "baselines.gradient_descent",
    "hessian_products": "_common.hessian_products",
    "hogwild": "baselines.hogwild",
    "interior_point": "interior_point.interior_point",
    "interior_products": "interior_point.products",
    "interior_rows": "interior_point.shard",
    "interior_steps": "interior_point.steps",
    "keyed": "_common.delayed_evaluation",
    "keyed_newton": "newton.asynchronous",
    "lbfgs": "gradient.lbfgs",
    "local_prox": "admm.local_prox",
    "minibatch": "baselines.minibatch",
    "model_averaging": "baselines.model_averaging",
    "newton": "newton.newton",
    "newton_cg": "newton_cg.newton_cg",
    "patience": "_common.stalling",
    "preconditioner": "newton_cg.preconditioner",
    "proximal_gradient": "gradient.proximal_gradient",
    "proximal_newton": "lasso.proximal_newton",
    "quadratic": "newton.quadratic",
    "residual_steps": "lasso.residual_steps",
    "row_space": "composite.row_space",
    "row_span": "composite.row_span",
    "saga": "saga.saga",
    "saga_epochs": "saga.epochs",
    "saga_messages": "saga.messages",
    "saga_rows": "saga.shard",
    "sdca": "dual.sdca",
    "selection": "_common.selection",
    "sgd": "baselines.sgd",
    "working_set": "lasso.working_set",
}
"""Modules of `offbeat.solvers`, before its families had packages of their own."""

CLASSES: dict[str, str] = {
    "offbeat.data.shard:Point": "offbeat.data.shards.point:Point",
    "offbeat.solvers._common.delayed_evaluation:Frame": (
        "offbeat.solvers._common.delayed_evaluation:InternalCoordinates"
    ),
    "offbeat.solvers._common.delayed_evaluation:Look": "offbeat.solvers._common.delayed_evaluation:ShardEvaluation",
    "offbeat.solvers._common.delayed_evaluation:Mixed": (
        "offbeat.solvers._common.delayed_evaluation:DelayedEvaluation"
    ),
    "offbeat.solvers._common.descent:End": "offbeat.solvers._common.descent:BracketEnd",
    "offbeat.solvers._common.descent:Rule": "offbeat.solvers._common.descent:LineSearchRule",
    "offbeat.solvers._common.descent:Search": "offbeat.solvers._common.descent:LineSearch",
    "offbeat.solvers._common.descent:Spot": "offbeat.solvers._common.descent:EvaluatedPoint",
    "offbeat.solvers._common.hessian_products:Local": "offbeat.solvers._common.hessian_products:HessianLocal",
    "offbeat.solvers._common.hessian_products:Query": "offbeat.solvers._common.hessian_products:HessianQuery",
    "offbeat.solvers._common.selection:Query": "offbeat.solvers._common.selection:SelectionQuery",
    "offbeat.solvers._common.stalling:Patience": "offbeat.solvers._common.stalling:StallCounter",
    "offbeat.solvers.admm.dual_ascent:Duals": "offbeat.solvers.admm.dual_ascent:RowDuals",
    "offbeat.solvers.admm.local_prox:Contribution": "offbeat.solvers.admm.local_prox:AdmmContribution",
    "offbeat.solvers.admm.local_prox:Facts": "offbeat.solvers.admm.local_prox:AdmmScalars",
    "offbeat.solvers.admm.local_prox:Local": "offbeat.solvers.admm.local_prox:AdmmLocal",
    "offbeat.solvers.admm.local_prox:Query": "offbeat.solvers.admm.local_prox:AdmmQuery",
    "offbeat.solvers.admm.smooth:Dense": "offbeat.solvers.admm.smooth:HessianModel",
    "offbeat.solvers.admm.smooth:Limited": "offbeat.solvers.admm.smooth:LimitedMemoryModel",
    "offbeat.solvers.baselines.dual_averaging:AveragingState": (
        "offbeat.solvers.baselines.dual_averaging:DualAveragingState"
    ),
    "offbeat.solvers.baselines.dual_averaging:Query": "offbeat.solvers.baselines.dual_averaging:DualAveragingQuery",
    "offbeat.solvers.baselines.minibatch:Batch": "offbeat.solvers.baselines.minibatch:MiniBatch",
    "offbeat.solvers.baselines.minibatch:Local": "offbeat.solvers.baselines.minibatch:StochasticLocal",
    "offbeat.solvers.baselines.model_averaging:MeanState": (
        "offbeat.solvers.baselines.model_averaging:ModelAveragingState"
    ),
    "offbeat.solvers.baselines.model_averaging:Query": (
        "offbeat.solvers.baselines.model_averaging:ModelAveragingQuery"
    ),
    "offbeat.solvers.baselines.sgd:Query": "offbeat.solvers.baselines.sgd:SgdQuery",
    "offbeat.solvers.composite.fallback:Changing": "offbeat.solvers.composite.fallback:Fallback",
    "offbeat.solvers.composite.fallback:ChangingState": "offbeat.solvers.composite.fallback:FallbackState",
    "offbeat.solvers.composite.fallback:Local": "offbeat.solvers.composite.fallback:FallbackLocal",
    "offbeat.solvers.composite.fallback:Query": "offbeat.solvers.composite.fallback:FallbackQuery",
    "offbeat.solvers.composite.row_space:Local": "offbeat.solvers.composite.row_space:RowSpaceLocal",
    "offbeat.solvers.composite.row_space:Query": "offbeat.solvers.composite.row_space:RowSpaceQuery",
    "offbeat.solvers.dual.epochs:Norms": "offbeat.solvers.dual.epochs:RowNorms",
    "offbeat.solvers.dual.shard:Contribution": "offbeat.solvers.dual.shard:SdcaContribution",
    "offbeat.solvers.dual.shard:Facts": "offbeat.solvers.dual.shard:SdcaScalars",
    "offbeat.solvers.dual.shard:Local": "offbeat.solvers.dual.shard:SdcaLocal",
    "offbeat.solvers.dual.shard:Query": "offbeat.solvers.dual.shard:SdcaQuery",
    "offbeat.solvers.gradient.delayed_proximal_gradient:DelayedState": (
        "offbeat.solvers.gradient.delayed_proximal_gradient:DelayedGradientState"
    ),
    "offbeat.solvers.gradient.delayed_proximal_gradient:Local": (
        "offbeat.solvers.gradient.delayed_proximal_gradient:DelayedGradientLocal"
    ),
    "offbeat.solvers.gradient.delayed_proximal_gradient:Query": (
        "offbeat.solvers.gradient.delayed_proximal_gradient:DelayedGradientQuery"
    ),
    "offbeat.solvers.interior_point.interior_point:Local": (
        "offbeat.solvers.interior_point.interior_point:InteriorLocal"
    ),
    "offbeat.solvers.interior_point.products:Frame": "offbeat.solvers.interior_point.products:ScaledColumns",
    "offbeat.solvers.interior_point.shard:Facts": "offbeat.solvers.interior_point.shard:InteriorScalars",
    "offbeat.solvers.interior_point.shard:Memory": "offbeat.solvers.interior_point.shard:PrimalDualPoint",
    "offbeat.solvers.interior_point.shard:Query": "offbeat.solvers.interior_point.shard:InteriorQuery",
    "offbeat.solvers.interior_point.shard:Rows": "offbeat.solvers.interior_point.shard:RowTerms",
    "offbeat.solvers.interior_point.steps:Interior": "offbeat.solvers.interior_point.steps:TermVariables",
    "offbeat.solvers.lasso.column_models:Gram": "offbeat.solvers.lasso.column_models:GramMatrix",
    "offbeat.solvers.lasso.column_store:Facts": "offbeat.solvers.lasso.column_store:ColumnStatistics",
    "offbeat.solvers.lasso.column_store:Store": "offbeat.solvers.lasso.column_store:ColumnStore",
    "offbeat.solvers.lasso.working_set:Local": "offbeat.solvers.lasso.working_set:WorkingSetLocal",
    "offbeat.solvers.lasso.working_set:Query": "offbeat.solvers.lasso.working_set:WorkingSetQuery",
    "offbeat.solvers.newton.asynchronous:KeyedState": "offbeat.solvers.newton.asynchronous:AsynchronousNewtonState",
    "offbeat.solvers.newton.asynchronous:Local": "offbeat.solvers.newton.asynchronous:AsynchronousNewtonLocal",
    "offbeat.solvers.newton.asynchronous:Model": "offbeat.solvers.newton.asynchronous:ShardModel",
    "offbeat.solvers.newton.asynchronous:Query": "offbeat.solvers.newton.asynchronous:AsynchronousNewtonQuery",
    "offbeat.solvers.newton.batch:Chain": "offbeat.solvers.newton.batch:BatchChain",
    "offbeat.solvers.newton.batch:Queries": "offbeat.solvers.newton.batch:BatchQuery",
    "offbeat.solvers.newton.batch:Result": "offbeat.solvers.newton.batch:BatchResult",
    "offbeat.solvers.newton.newton:Base": "offbeat.solvers.newton.newton:NewtonPoint",
    "offbeat.solvers.newton_cg.conjugate_gradients:Conjugate": (
        "offbeat.solvers.newton_cg.conjugate_gradients:ConjugateGradients"
    ),
    "offbeat.solvers.newton_cg.newton_cg:Spot": "offbeat.solvers.newton_cg.newton_cg:NewtonCGPoint",
    "offbeat.solvers.saga.epochs:Done": "offbeat.solvers.saga.epochs:EpochResult",
    "offbeat.solvers.saga.epochs:Plan": "offbeat.solvers.saga.epochs:EpochPlan",
    "offbeat.solvers.saga.messages:Contribution": "offbeat.solvers.saga.messages:SagaContribution",
    "offbeat.solvers.saga.messages:Facts": "offbeat.solvers.saga.messages:SagaScalars",
    "offbeat.solvers.saga.messages:Query": "offbeat.solvers.saga.messages:SagaQuery",
    "offbeat.solvers.saga.shard:Local": "offbeat.solvers.saga.shard:SagaLocal",
}
"""Classes that were renamed, as ``module:Class``; the module is the one of today."""


def current_name(name: str) -> str:
    """Return the name of a class in a file, ``module:Class``, as it is today.

    Examples
    --------
    >>> current_name("offbeat.solvers.lbfgs:LBFGS")
    'offbeat.solvers.gradient.lbfgs:LBFGS'
    >>> current_name("offbeat.problem:Certificate")
    'offbeat.problem:Certificate'
    """
    module, colon, cls = name.partition(":")
    package, dot, old = module.rpartition(".")
    if package == "offbeat.solvers":
        module = f"{package}{dot}{SOLVERS.get(old, old)}"
    name = f"{module}{colon}{cls}"
    return CLASSES.get(name, name)
